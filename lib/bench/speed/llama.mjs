/**
 * Times GGUF files in llama.cpp through node-llama-cpp, in a process of its own: node llama.mjs PACKAGE JOB.json,
 * JOB {"models": paths, "promptTokens", "generatedTokens", "repeats", "threads"}. Prints JSON: for every model the
 * seconds of every repeat. The models take turns, since the speed of a shared machine drifts.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, jobPath] = process.argv.slice(2);
const { models, promptTokens, generatedTokens, repeats, threads } = JSON.parse(
  readFileSync(jobPath, 'utf8'),
);
const { getLlama } = await import(pathToFileURL(join(folder, 'dist', 'index.js')).href);
const llama = await getLlama({
  gpu: false,
  build: 'never',
  logLevel: 'error',
  maxThreads: threads,
});

async function open(modelPath) {
  const model = await llama.loadModel({ modelPath });
  const contextSize = promptTokens + generatedTokens + 8;
  const context = await model.createContext({ contextSize, batchSize: promptTokens, threads });
  const vocab = model.fileInfo.metadata.tokenizer.ggml.tokens.length;
  // Any tokens do: the work does not depend on them. The first ones are often special.
  const prompt = Array.from({ length: promptTokens }, (_, i) => 16 + ((7 * i) % (vocab - 16)));
  return { sequence: context.getSequence(), prompt, seconds: { prompt: [], generation: [] } };
}

async function lap({ sequence, prompt }) {
  await sequence.clearHistory();
  const start = performance.now();
  await sequence.evaluateWithoutGeneratingNewTokens(prompt);
  const read = performance.now();
  let last = prompt.at(-1);
  for (let i = 0; i < generatedTokens; i++) {
    // Not evaluate(), which stops at an end-of-text token.
    const [result] = await sequence.controlledEvaluate([
      [last, { generateNext: { token: true, options: { temperature: 0 } } }],
    ]);
    last = result.next.token;
  }
  return { prompt: (read - start) / 1000, generation: (performance.now() - read) / 1000 };
}

const opened = [];
for (const path of models) opened.push(await open(path));
for (let i = -1; i < repeats; i++) {
  for (const one of opened) {
    const seconds = await lap(one);
    if (i < 0) continue; // to warm up
    one.seconds.prompt.push(seconds.prompt);
    one.seconds.generation.push(seconds.generation);
  }
}
process.stdout.write(JSON.stringify(opened.map(({ seconds }) => seconds)), () => process.exit(0));
