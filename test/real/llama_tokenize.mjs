/** Ids by llama.cpp, through node-llama-cpp: llama_tokenize.mjs PACKAGE JOB.json, JOB {"models", "texts"}. Prints for each model a list a text. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, jobPath] = process.argv.slice(2);
const { models, texts } = JSON.parse(readFileSync(jobPath, 'utf8'));
const { getLlama } = await import(pathToFileURL(join(folder, 'dist', 'index.js')).href);

const llama = await getLlama({ gpu: false, build: 'never', logLevel: 'error' });
const ids = [];
for (const modelPath of models) {
  const model = await llama.loadModel({ modelPath });
  ids.push(texts.map((text) => model.tokenize(text, true)));
  await model.dispose();
}
console.log(JSON.stringify(ids));
await llama.dispose();
