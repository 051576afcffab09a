/** A package that looks like node-llama-cpp as far as we call it, and runs nothing. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const CODE = `
import { copyFileSync, readdirSync } from 'node:fs';
const SEEN = new URL('../../../seen/', import.meta.url);
const sequence = {
  async clearHistory() {},
  async evaluateWithoutGeneratingNewTokens() {},
  async controlledEvaluate() { return [{ next: { token: 1 } }]; },
};
export async function getLlama() {
  return {
    async loadModel({ modelPath }) {
      copyFileSync(modelPath, new URL(\`\${readdirSync(SEEN).length}.gguf\`, SEEN));
      const fileInfo = { metadata: { tokenizer: { ggml: { tokens: Array(100) } } } };
      return { fileInfo, createContext: async () => ({ getSequence: () => sequence }) };
    },
  };
}
`;

/** Makes it in an empty folder, which it returns; `seen/` gets copies of the files that were to be run, by their number. */
export function fakeRuntime(folder: string, version = '3.0.0'): string {
  const home = join(folder, 'node_modules/node-llama-cpp');
  mkdirSync(join(home, 'dist'), { recursive: true });
  mkdirSync(join(folder, 'seen'));
  writeFileSync(join(home, 'dist/index.js'), CODE);
  const about = { name: 'node-llama-cpp', version, type: 'module' };
  writeFileSync(join(home, 'package.json'), JSON.stringify(about));
  return folder;
}
