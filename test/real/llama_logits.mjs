/**
 * Logits of a GGUF file by llama.cpp, through node-llama-cpp: llama_logits.mjs PACKAGE JOB.json, JOB
 * {"model", "ids", "output"}. `output` receives float32 [ids, vocab]; prints the architecture that was loaded.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, jobPath] = process.argv.slice(2);
const { model: modelPath, ids, output } = JSON.parse(readFileSync(jobPath, 'utf8'));
const { getLlama } = await import(pathToFileURL(join(folder, 'dist', 'index.js')).href);

const llama = await getLlama({ gpu: false, build: 'never', logLevel: 'error' });
const model = await llama.loadModel({ modelPath });
// Half-precision keys and values, the default, would be the largest difference of all.
const context = await model.createContext({
  // node-llama-cpp makes room in a short context before it is full: room to spare.
  contextSize: ids.length + 64,
  batchSize: ids.length,
  // Its threads wait for each other by spinning, which neighbours on the machine make endless.
  threads: 1,
  flashAttention: false,
  experimentalKvCacheKeyType: 'F32',
  experimentalKvCacheValueType: 'F32',
});
const sequence = context.getSequence();

let logits;
let vocab;
await sequence.controlledEvaluate(
  ids.map((id) => [id, { generateNext: { logits: true } }]),
  {
    onTokenResult(index, { next }) {
      // A map in the order of the vocabulary or of the logits, whichever: the keys say.
      vocab ??= next.logits.size;
      logits ??= new Float32Array(ids.length * vocab);
      for (const [token, logit] of next.logits) logits[index * vocab + token] = logit;
      next.logits.clear();
    },
  },
);
writeFileSync(output, new Uint8Array(logits.buffer));
console.log(JSON.stringify({ architecture: model.fileInfo.metadata.general.architecture }));
await llama.dispose();
