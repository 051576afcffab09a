/** Maps as two of lower rank, against numpy: scripts/oracles/make-low-rank-fixtures.py. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { type ArrayPlan, writeArrays } from '../../../lib/checkpoint/arrays-file';
import { OnnxFile } from '../../../lib/models/graphs/onnx/file';
import { eigen, orthonormal } from '../../../lib/models/graphs/run/eigen';
import { pruneGraph } from '../../../lib/prune-graph';
import { atOnce } from '../../../lib/turns';
import { model, node, tensor, value } from './models';
import { constantsOf, floatsIn, folderOf, gapOf, resumes } from './pruned';

const FIXTURES = join(__dirname, '../../fixtures/low-rank');

for (const name of ['matmul', 'wide', 'gemm', 'conv', 'table']) {
  test(`${name}: two maps are the truncated SVD of what the map gives`, async (t) => {
    const output = join(folderOf(t), 'small.onnx');
    const samples = join(FIXTURES, `${name}.inputs.safetensors`);
    const result = await pruneGraph(join(FIXTURES, `${name}.onnx`), {
      ...{ output, lowRank: true, calibration: samples, eval: samples },
      multiple: 1,
      ...(name === 'table' ? { targetParams: '60%' as const } : { sparsity: 0.4 }),
    });
    t.deepEqual(
      result.sites.map(({ name: site }) => site),
      ['rank of w'],
    );
    const expected = floatsIn(join(FIXTURES, `${name}.expected.safetensors`));
    using file = OnnxFile.open(output);
    const constants = constantsOf(file);
    const [down, up] = ['w.down', 'w.up'].map((each) => constants.get(each)!);
    const isOutFirst = name === 'gemm' || name === 'conv';
    const rank = down!.dims[isOutFirst ? 0 : 1]!;
    t.is(rank, result.sites[0]!.after);
    const columns = down!.values.length / rank;
    const out = up!.values.length / rank;
    t.is(result.parametersAfter, rank * (columns + out) + (expected.has('bias') ? out : 0));
    // A table is no map.
    const counts = name === 'table' ? 0 : 1;
    t.is(result.weightsBefore, counts * columns * out);
    t.is(result.weightsAfter, counts * rank * (columns + out));
    t.true(rank * (columns + out) <= 0.6 * columns * out);
    t.true((rank + 1) * (columns + out) > 0.6 * columns * out);
    const product = Float64Array.from({ length: columns * out }, (_, i) => {
      const [c, o] = [Math.floor(i / out), i % out];
      let sum = 0;
      for (let r = 0; r < rank; r++) {
        sum += isOutFirst
          ? down!.values[r * columns + c]! * up!.values[o * rank + r]!
          : down!.values[c * rank + r]! * up!.values[r * out + o]!;
      }
      return sum;
    });
    t.true(gapOf(product, expected.get('weight')!.values) < 1e-4);
    const bias = expected.get('bias');
    if (bias) t.true(gapOf(constants.get('b')!.values, bias.values) < 1e-4);
    // Nothing is left between the two.
    t.is(constants.size, bias ? 3 : 2);
    t.is(file.model.graph!.node.length, name === 'matmul' ? 3 : 2);
    t.true(Math.abs(result.evaluation!.loss - result.verification.actual) < 1e-6);
  });
}

/** Values of a matrix of that rank, and a little of all others. */
function ofRank(name: string, rows: number, columns: number, rank: number, noise: number) {
  const made = tensor(name, [rows, columns]);
  const values = new Float32Array(made.rawData.buffer);
  values.forEach((_, i) => {
    const [r, c] = [Math.floor(i / columns), i % columns];
    let sum = noise * Math.cos(5 * i * i);
    for (let k = 1; k <= rank; k++) sum += Math.sin(k * r * r + k) * Math.cos(k * c * c);
    values[i] = sum / Math.sqrt(rank * rows);
  });
  return made;
}

/** Three products with biases, of which the second is nearly of rank 6. */
async function layered(folder: string) {
  const [path, calibration] = [join(folder, 'layers.onnx'), join(folder, 'layers.inputs')];
  const graph = {
    input: [value('x', ['batch', 24])],
    output: [value('y', ['batch', 8])],
    initializer: [
      ...[ofRank('a', 24, 40, 24, 0.5), ofRank('b', 40, 40, 6, 0.02), ofRank('c', 40, 8, 8, 0.5)],
      ...[ofRank('p', 40, 1, 1, 1), ofRank('q', 40, 1, 1, 1)].map((each) => ({
        ...each,
        dims: [40n],
      })),
    ],
    node: [
      ...[node('MatMul x a -> m'), node('Add m p -> n'), node('Relu n -> r')],
      ...[node('MatMul r b -> s'), node('Add s q -> u'), node('Relu u -> v')],
      node('MatMul v c -> y'),
    ],
  };
  writeFileSync(path, model(graph));
  const x = Float32Array.from({ length: 400 * 24 }, (_, i) => Math.sin(i * i));
  const inputs: ArrayPlan = { name: 'x', dtype: 'F32', shape: [400, 24], pieces: () => [x] };
  await writeArrays(calibration, [inputs], {}, {});
  return { path, calibration };
}

test('beside widths a rank goes where it costs least, and what counts is what the file has', async (t) => {
  const folder = folderOf(t);
  const { path, calibration } = await layered(folder);
  const files = { calibration, eval: calibration };
  const of = (name: string, lowRank: boolean, sparsity: number) =>
    pruneGraph(path, { ...files, output: join(folder, name), lowRank, sparsity });
  const [widths, both] = [await of('widths.onnx', false, 0.3), await of('both.onnx', true, 0.3)];
  t.deepEqual(
    both.sites.map(({ name, before }) => [name, before]),
    [
      ['rank of a', 24],
      ['a', 40],
      ['rank of b', 40],
      ['b', 40],
      ['rank of c', 8],
    ],
  );
  const rank = both.sites[2]!.after;
  t.true(rank < 20, `${rank}`);
  t.true(both.evaluation!.loss < 0.5 * widths.evaluation!.loss);
  for (const [name, result] of [
    ['both.onnx', both],
    ['more.onnx', await of('more.onnx', true, 0.7)],
  ] as const) {
    using file = OnnxFile.open(join(folder, name));
    const maps = [...constantsOf(file)].filter(([, { dims }]) => dims.length === 2);
    const weights = maps.reduce((sum, [, { values }]) => sum + values.length, 0);
    t.is(result.weightsAfter, weights, name);
    t.is(
      result.parametersAfter,
      [...constantsOf(file).values()].reduce((sum, { values }) => sum + values.length, 0),
    );
    t.is(result.weightsBefore, widths.weightsBefore);
  }
});

test('with nothing removed but widths, maps are whole again', async (t) => {
  const folder = folderOf(t);
  const { path, calibration } = await layered(folder);
  const output = join(folder, 'small.onnx');
  const { sites } = await pruneGraph(path, { output, calibration, lowRank: true, sparsity: 0.02 });
  using file = OnnxFile.open(output);
  const { node: nodes } = file.model.graph!;
  const joined = sites.every(
    ({ name, before, after }) => !name.startsWith('rank') || before === after,
  );
  t.is(nodes.length, joined ? 7 : 8);
  const constants = constantsOf(file);
  using dense = OnnxFile.open(path);
  // The last map reads a site that may have changed; the first one reads what is given.
  if (joined) t.true(gapOf(constants.get('a')!.values, constantsOf(dense).get('a')!.values) === 0);
});

test('a run that was stopped goes on to the same bytes', async (t) => {
  const { path, calibration } = await layered(folderOf(t));
  await resumes(t, path, { calibration, lowRank: true, sparsity: 0.4, threads: 1 });
});

test('a rule that reads no prices of ranks is refused', async (t) => {
  const folder = folderOf(t);
  const { path, calibration } = await layered(folder);
  const output = join(folder, 'small.onnx');
  for (const allocation of ['uniform', 'energy'] as const) {
    const run = pruneGraph(path, { output, calibration, lowRank: true, sparsity: 0.2, allocation });
    await t.throwsAsync(run, { code: 'ERR_ARGUMENT', message: /does not weigh ranks/ });
  }
});

test('maps that memory has no room for are refused before anything is summed', async (t) => {
  const folder = folderOf(t);
  const [path, calibration] = [join(folder, 'wide.onnx'), join(folder, 'wide.inputs')];
  const graph = {
    input: [value('x', ['batch', 16])],
    output: [value('y', ['batch', 4000])],
    initializer: [ofRank('a', 16, 4000, 16, 0.5)],
    node: [node('MatMul x a -> y')],
  };
  writeFileSync(path, model(graph));
  const x = Float32Array.from({ length: 16 * 16 }, (_, i) => Math.sin(i * i));
  const inputs: ArrayPlan = { name: 'x', dtype: 'F32', shape: [16, 16], pieces: () => [x] };
  await writeArrays(calibration, [inputs], {}, {});
  const run = pruneGraph(path, {
    ...{ output: join(folder, 'small.onnx'), calibration, lowRank: true, sparsity: 0.2 },
    memory: 512 * 2 ** 20,
  });
  await t.throwsAsync(run, { code: 'ERR_BUDGET', message: /maps as two of lower rank need/ });
});

test('eigenvectors of symmetric matrices: singular ones, equal values, zeros, one row', (t) => {
  const n = 30;
  const ofLess = (rank: number) => {
    const half = Float64Array.from({ length: n * rank }, (_, i) => Math.sin(i * i + 1));
    return Float64Array.from({ length: n * n }, (_, at) => {
      const [i, j] = [Math.floor(at / n), at % n];
      let sum = 0;
      for (let k = 0; k < rank; k++) sum += half[i * rank + k]! * half[j * rank + k]!;
      return sum;
    });
  };
  const identity = Float64Array.from({ length: n * n }, (_, i) => Number(i % (n + 1) === 0));
  for (const matrix of [
    ofLess(n),
    ofLess(7),
    identity,
    new Float64Array(n * n),
    Float64Array.of(4),
  ]) {
    const size = Math.sqrt(matrix.length);
    const { values, vectors } = atOnce(eigen(matrix.slice(), size));
    const scale = Math.max(1e-300, values[0]!);
    for (let i = 0; i < size; i++) {
      t.true(i === 0 || values[i]! <= values[i - 1]!);
      for (let j = 0; j < size; j++) {
        let [dot, image] = [0, 0];
        for (let k = 0; k < size; k++) {
          dot += vectors[i * size + k]! * vectors[j * size + k]!;
          image += matrix[j * size + k]! * vectors[i * size + k]!;
        }
        t.true(Math.abs(dot - Number(i === j)) < 1e-12);
        t.true(Math.abs(image - values[i]! * vectors[i * size + j]!) < 1e-12 * scale);
      }
    }
  }
});

test('rows that depend on each other span fewer', (t) => {
  const rows = Float64Array.of(3, 4, 0, 6, 8, 0, 0, 0, 2);
  const found = atOnce(orthonormal(rows, 3, 3));
  t.deepEqual(
    [...found].map((each) => Math.round(1e12 * each) / 1e12),
    [0.6, 0.8, 0, 0, 0, 1],
  );
});
