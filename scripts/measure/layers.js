// npm run measure -- layers [50,100,200,400]: processor seconds that a graph of so many convolutions takes: to find its sites, and
// to prune it with the default allocation. Two and two are a block x + Conv(Relu(Conv(x))), 3 by 3, of random weights; 128
// samples calibrate.
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { create, toBinary } = require('@bufbuild/protobuf');
const { at } = require('../lib/paths.js');

const graphs = (name) => require(at('dist', 'lib', 'models', 'graphs', `${name}.js`));
const { pruneGraph } = require(at('dist', 'lib', 'index.js'));
const { OnnxFile } = graphs('onnx/file');
const { relate } = graphs('relate');
const { prunedSites } = graphs('run/sites');
const messages = graphs('onnx/onnx_pb');

const [CHANNELS, SIDE, SAMPLES, REPEATS] = [16, 8, 128, 5];
const FLOAT = 1;
const INTS = 7;

let state = 1;
/** The same numbers in every run, in [-1, 1]. */
function random() {
  state = (state * 48271) % 2147483647;
  return (2 * state) / 2147483647 - 1;
}

const randoms = (length, scale) => Float32Array.from({ length }, () => scale * random());

function map(name) {
  const rawData = new Uint8Array(randoms(CHANNELS * CHANNELS * 9, 0.1).buffer);
  const dims = [CHANNELS, CHANNELS, 3, 3].map(BigInt);
  return create(messages.TensorProtoSchema, { name, dims, dataType: FLOAT, rawData });
}

function node(opType, input, output, pads) {
  const attribute = pads ? [{ name: 'pads', type: INTS, ints: pads.map(BigInt) }] : [];
  return create(messages.NodeProtoSchema, { opType, input, output: [output], attribute });
}

function value(name) {
  const dim = [{ case: 'dimParam', value: 'batch' }];
  for (const size of [CHANNELS, SIDE, SIDE]) dim.push({ case: 'dimValue', value: BigInt(size) });
  const shape = { dim: dim.map((each) => ({ value: each })) };
  return create(messages.ValueInfoProtoSchema, {
    name,
    type: { value: { case: 'tensorType', value: { elemType: FLOAT, shape } } },
  });
}

function write(file, blocks) {
  const [initializer, nodes] = [[], []];
  for (let i = 0; i < blocks; i++) {
    initializer.push(map(`w${i}`), map(`v${i}`));
    nodes.push(
      node('Conv', [`x${i}`, `w${i}`], `a${i}`, [1, 1, 1, 1]),
      node('Relu', [`a${i}`], `r${i}`),
      node('Conv', [`r${i}`, `v${i}`], `b${i}`, [1, 1, 1, 1]),
      node('Add', [`x${i}`, `b${i}`], `x${i + 1}`),
    );
  }
  const graph = create(messages.GraphProtoSchema, {
    ...{ name: 'layers', node: nodes, initializer },
    ...{ input: [value('x0')], output: [value(`x${blocks}`)] },
  });
  const opsetImport = [{ domain: '', version: 17n }];
  const model = create(messages.ModelProtoSchema, { irVersion: 8n, opsetImport, graph });
  fs.writeFileSync(file, toBinary(messages.ModelProtoSchema, model));
}

/** Processor seconds of this process. */
async function secondsOf(work) {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

function sitesIn(file) {
  const opened = OnnxFile.open(file);
  try {
    return prunedSites(relate(opened), { fits: true, scope: 'all' }).sites.length;
  } finally {
    opened.close();
  }
}

async function main([given = '50,100,200,400']) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'struprune-layers-'));
  try {
    const dims = [SAMPLES, CHANNELS, SIDE, SIDE];
    const data = randoms(SAMPLES * CHANNELS * SIDE * SIDE, 1);
    console.log('layers  sites  to find them  to prune  passes');
    for (const layers of given.split(',').map(Number)) {
      const file = path.join(folder, `${layers}.onnx`);
      write(file, layers / 2);
      const sites = sitesIn(file);
      const found = [];
      for (let i = 0; i < REPEATS; i++) found.push(await secondsOf(() => sitesIn(file)));
      let result;
      const pruned = await secondsOf(async () => {
        result = await pruneGraph(file, {
          ...{ output: path.join(folder, `${layers}.small.onnx`), sparsity: 0.3 },
          calibrationFeeds: [{ x0: { data, dims } }],
        });
      });
      const row = [
        ...[String(layers).padStart(6), String(sites).padStart(6)],
        ...[
          `${Math.min(...found).toFixed(3)} s`.padStart(13),
          `${pruned.toFixed(1)} s`.padStart(9),
        ],
        result.passes.toFixed(1).padStart(7),
      ];
      console.log(row.join(' '));
    }
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

main(process.argv.slice(2));
