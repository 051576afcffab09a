/** Ids by llama.cpp, through node-llama-cpp: llama_tokenize.mjs PACKAGE JOB.json, JOB {"model", "texts"}. Prints a list a text. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, jobPath] = process.argv.slice(2);
const { model: modelPath, texts } = JSON.parse(readFileSync(jobPath, 'utf8'));
const { getLlama } = await import(pathToFileURL(join(folder, 'dist', 'index.js')).href);

const llama = await getLlama({ gpu: false, build: 'never', logLevel: 'error' });
const model = await llama.loadModel({ modelPath });
console.log(JSON.stringify(texts.map((text) => model.tokenize(text, true))));
await llama.dispose();
