// What transformers.js gives for texts, of a folder as it is: node transformers_states.mjs PACKAGE FOLDER TEXT ...
// Prints JSON: for each text { ids, states: [tokens][width] }.
import { dirname } from 'node:path';
import { pathToFileURL } from 'node:url';

const [entry, folder, ...texts] = process.argv.slice(2);
const { AutoModel, AutoTokenizer, env } = await import(pathToFileURL(entry).href);
env.allowRemoteModels = false;
env.localModelPath = dirname(folder);
const tokenizer = await AutoTokenizer.from_pretrained(folder);
const model = await AutoModel.from_pretrained(folder);
const found = [];
for (const text of texts) {
  const inputs = await tokenizer(text);
  const { last_hidden_state: states } = await model(inputs);
  found.push({ ids: [...inputs.input_ids.data].map(Number), states: states.tolist()[0] });
}
console.log(JSON.stringify(found));
