// npm run measure -- web DENSE.onnx SAMPLES PRUNED.onnx… [--rounds 21]: the graphs in onnxruntime-web (WebAssembly, one thread,
// here in Node) on a batch of the samples, in turn: milliseconds, how many times as fast as the dense one, and how many times fewer multiply-adds.
const { readFileSync } = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { parseArgs } = require('node:util');
const { pathToFileURL } = require('node:url');
const { ensureOrtWeb } = require('../lib/oracles.js');
const { at } = require('../lib/paths.js');

const graphs = (name) => require(at('dist', 'lib', 'models', 'graphs', `${name}.js`));
const { median } = require(at('dist', 'lib', 'median.js'));
const { openGraph } = graphs('branches');
const { countsOf } = graphs('run/multiply-adds');
const { Runtime } = graphs('run/runtime');
const { Samples } = graphs('run/samples');

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string', default: '21' } },
});
const [dense, inputs, ...pruned] = positionals;
const files = [dense, ...pruned];
if (pruned.length === 0) {
  throw new Error('usage: web DENSE.onnx SAMPLES PRUNED.onnx… [--rounds 21]');
}

async function main() {
  const web = path.join(ensureOrtWeb(), 'ort.wasm.min.mjs');
  const ort = await import(pathToFileURL(web));
  ort.env.wasm.numThreads = 1;
  const runtime = new Runtime(1, os.tmpdir());
  const { graph } = openGraph(dense).model;
  const samples = await Samples.open(inputs, graph, runtime);
  const [batch] = samples.read({ from: 0, end: 1 });
  const feeds = Object.fromEntries(
    Object.entries(batch).map(([name, { type, data, dims }]) => {
      return [name, new ort.Tensor(type, data, dims)];
    }),
  );
  const sessions = [];
  for (const file of files) {
    sessions.push(await ort.InferenceSession.create(new Uint8Array(readFileSync(file))));
  }
  const times = files.map(() => []);
  for (let round = -1; round < Number(values.rounds); round++) {
    for (const [i, session] of sessions.entries()) {
      const start = performance.now();
      await session.run(feeds);
      if (round >= 0) times[i].push(performance.now() - start);
    }
  }
  const counts = files.map((file) => {
    const opened = openGraph(file);
    try {
      return countsOf(opened, samples).multiplyAdds;
    } finally {
      opened.close();
    }
  });
  const milliseconds = times.map(median);
  console.log('| | ms | times as fast | times fewer multiply-adds |\n|---|---|---|---|');
  files.forEach((file, i) => {
    const ratios = [milliseconds[0] / milliseconds[i], counts[0] / counts[i]];
    const cells = [milliseconds[i].toFixed(1), ...ratios.map((ratio) => ratio.toFixed(2))];
    console.log(`| ${path.basename(file)} | ${cells.join(' | ')} |`);
  });
}

main();
