// hashes.js FOLDER: prunes the embedded model by several rules and prints the SHA-256 of every file but the card, which
// tells the time. For any JavaScript engine.
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { library, model, settings } = require('./settings.js');

const RUNS = {
  threshold: { scope: 'all' },
  energy: { allocation: 'energy' },
  full: { allocation: 'energy', energyForm: 'full', format: 'gguf', dtype: 'f16' },
  admm: { mask: 'admm', allocation: 'uniform' },
};

function filesOf(output) {
  if (!fs.statSync(output).isDirectory()) return [output];
  return fs
    .readdirSync(output)
    .filter((name) => name !== 'README.md')
    .sort()
    .map((name) => path.join(output, name));
}

async function main(folder) {
  const hashes = {};
  for (const [name, options] of Object.entries(RUNS)) {
    const output = path.join(folder, options.format === 'gguf' ? `${name}.gguf` : name);
    const result = await library.prune(model, { ...settings, ...options, output, threads: 2 });
    for (const file of filesOf(output)) {
      const hash = createHash('sha256').update(fs.readFileSync(file)).digest('hex');
      hashes[`${name}/${path.basename(file)}`] = hash;
    }
    hashes[`${name}/layers`] = JSON.stringify(result.layerStats.map(({ removed }) => removed));
  }
  console.log(JSON.stringify(hashes));
}

main(process.argv[2]);
