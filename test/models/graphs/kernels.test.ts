/** Smaller kernels behind a sum-pooling, against onnxruntime and numpy: scripts/oracles/make-kernel-fixtures.py. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { type ArrayPlan, writeArrays } from '../../../lib/checkpoint/arrays-file';
import { OnnxFile } from '../../../lib/models/graphs/onnx/file';
import { floatsOf, Runtime } from '../../../lib/models/graphs/run/runtime';
import { pruneGraph } from '../../../lib/prune-graph';
import { model, node, tensor, value } from './models';
import { constantsOf, floatsIn, folderOf, gapOf, resumes } from './pruned';

const FIXTURES = join(__dirname, '../../fixtures/kernels');
const structuredConvolutions = true;

const wave = (i: number) => Math.sin(i * i + 1);

function constant(name: string, dims: number[], at: (i: number) => number = wave) {
  const made = tensor(name, dims);
  const values = new Float32Array(made.rawData.buffer);
  values.forEach((_, i) => {
    values[i] = at(i);
  });
  return made;
}

/** `[out, inputs, …]` sums over boxes of a smaller kernel of waves. */
function composite(name: string, [out, inputs, ...kernel]: number[], removed: number) {
  const sizes = kernel.map((size) => (size === 1 ? 1 : size - removed));
  const count = (dims: number[]) => dims.reduce((product, dim) => product * dim, 1);
  const placeIn = (dims: number[], index: number) =>
    dims.map((dim, axis) => Math.floor(index / count(dims.slice(axis + 1))) % dim);
  return constant(name, [out!, inputs!, ...kernel], (i) => {
    const place = placeIn(kernel, i % count(kernel));
    let sum = 0;
    for (let j = 0; j < count(sizes); j++) {
      const first = placeIn(sizes, j);
      const isIn = place.every((at, axis) => {
        return at >= first[axis]! && at <= first[axis]! + kernel[axis]! - sizes[axis]!;
      });
      if (isIn) sum += wave(Math.floor(i / count(kernel)) * count(sizes) + j);
    }
    return sum;
  });
}

async function written(
  folder: string,
  graph: Parameters<typeof model>[0],
  shape: number[],
  opset?: number,
) {
  const [path, calibration] = [join(folder, 'dense.onnx'), join(folder, 'inputs')];
  writeFileSync(path, model(graph, opset));
  const x = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => wave(3 * i));
  const inputs: ArrayPlan = { name: 'x', dtype: 'F32', shape, pieces: () => [x] };
  await writeArrays(calibration, [inputs], {}, {});
  return { path, calibration, x };
}

async function givenBy(folder: string, path: string, x: Float32Array, dims: number[]) {
  const runtime = new Runtime(1, folder);
  await using session = await runtime.open(path);
  const { y } = await session.run({ x: runtime.tensor('float32', x, dims) });
  return floatsOf(y!)!;
}

for (const [kernel, removed, attributes] of [
  [[3, 3], 1, {}],
  [[3, 3], 1, { pads: [1, 1, 1, 1], strides: [2, 2] }],
  [[3, 3], 2, { pads: [1, 0, 2, 1], strides: [1, 2], kernel_shape: [3, 3] }],
  [[5, 5], 1, { pads: [2, 2, 2, 2], dilations: [1, 1] }],
  [[5, 5], 2, { pads: [2, 3, 1, 2], strides: [2, 3] }],
  [[7, 7], 3, { pads: [3, 3, 3, 3], strides: [2, 2] }],
  [[1, 3], 1, { pads: [0, 1, 0, 1] }],
  [[5, 3], 1, { auto_pad: 'VALID' }],
  [[3], 1, { pads: [1, 1], strides: [2] }],
  [[2, 2, 2], 1, { pads: [1, 0, 0, 0, 0, 1] }],
] as const) {
  test(`a composite kernel of ${kernel} is what it was: ${removed} less, ${JSON.stringify(attributes)}`, async (t) => {
    const folder = folderOf(t);
    const dims = [5, 3, ...kernel];
    const shape = [12, 3, ...kernel.map(() => 9)];
    const graph = {
      input: [value('x', ['batch', ...shape.slice(1)])],
      output: [value('y', ['batch', 5, ...kernel.map((_, i) => `out${i}`)])],
      initializer: [composite('w', dims, removed), constant('b', [5])],
      node: [node('Conv x w b -> y', attributes as Record<string, number[] | string>)],
    };
    const { path, calibration, x } = await written(folder, graph, shape);
    const output = join(folder, 'small.onnx');
    const left = kernel.map((size) => (size === 1 ? 1 : size - removed));
    const product = (sizes: readonly number[]) => sizes.reduce((a, b) => a * b, 1);
    const { sites, ...result } = await pruneGraph(path, {
      ...{ output, calibration, structuredConvolutions },
      sparsity: 1 - product(left) / product(kernel) - 1e-6,
    });
    const least = Math.min(...kernel.filter((size) => size > 1));
    t.deepEqual(
      sites.map(({ name, before, after }) => [name, before, after]),
      [['kernel of w', least, least - removed]],
    );
    t.is(result.weightsAfter, 15 * product(left));
    t.is(result.multiplyAddsAfter / result.multiplyAddsBefore, product(left) / product(kernel));
    using file = OnnxFile.open(output);
    t.deepEqual(constantsOf(file).get('w')!.dims, [5, 3, ...left]);
    t.deepEqual(
      file.model.graph!.node.map(({ opType }) => opType),
      ['AveragePool', 'Conv'],
    );
    const [dense, small] = [
      await givenBy(folder, path, x, shape),
      await givenBy(folder, output, x, shape),
    ];
    t.is(small.length, dense.length);
    t.true(gapOf(small, dense) < 1e-5, `${gapOf(small, dense)}`);
  });
}

for (const name of ['square', 'five', 'line']) {
  test(`${name}: coefficients are numpy's least squares`, async (t) => {
    const output = join(folderOf(t), 'small.onnx');
    const samples = join(FIXTURES, `${name}.inputs.safetensors`);
    const expected = floatsIn(join(FIXTURES, `${name}.expected.safetensors`));
    const { dims, values } = expected.get('weight')!;
    const result = await pruneGraph(join(FIXTURES, `${name}.onnx`), {
      ...{ output, structuredConvolutions, calibration: samples, eval: samples, lambda: 0 },
      ...{ sparsity: { square: 0.5, five: 0.6, line: 0.3 }[name]!, bias: 'refit' },
    });
    using file = OnnxFile.open(output);
    const constants = constantsOf(file);
    const found = constants.get('w')!;
    t.deepEqual(found.dims, dims);
    const box = { square: 4, five: 9, line: 2 }[name]!;
    const gap = gapOf(
      found.values.map((scaled) => scaled / box),
      values,
    );
    t.true(gap < 1e-4, `${gap}`);
    const bias = expected.get('bias');
    if (bias) t.true(gapOf(constants.get('b')!.values, bias.values) < 1e-4);
    t.true(Math.abs(result.evaluation!.loss - result.verification.actual) < 1e-6);
  });
}

/** Three convolutions, of which the second one's kernel is nearly composite. */
async function layered(folder: string) {
  const noisy = composite('b', [16, 12, 3, 3], 1);
  const values = new Float32Array(noisy.rawData.buffer);
  values.forEach((each, i) => {
    values[i] = (each + 0.05 * wave(7 * i)) / 10;
  });
  const graph = {
    input: [value('x', ['batch', 3, 12, 12])],
    output: [value('y', ['batch', 4, 10, 10])],
    initializer: [
      ...[constant('a', [12, 3, 3, 3]), noisy],
      ...[constant('p', [12]), constant('q', [16]), constant('c', [4, 16, 3, 3])],
    ],
    node: [
      node('Conv x a p -> m', { pads: [1, 1, 1, 1] }),
      node('Relu m -> n'),
      node('Conv n b q -> r', { pads: [1, 1, 1, 1] }),
      node('Relu r -> s'),
      node('Conv s c -> y'),
    ],
  };
  return written(folder, graph, [40, 3, 12, 12]);
}

test('beside widths and ranks kernels go where they cost least, and what counts is what the file has', async (t) => {
  const folder = folderOf(t);
  const { path, calibration } = await layered(folder);
  const files = { calibration, eval: calibration };
  const widths = await pruneGraph(path, {
    ...files,
    output: join(folder, 'w.onnx'),
    sparsity: 0.4,
  });
  for (const [name, target] of [
    ['share', { sparsity: 0.4 }],
    ['more', { sparsity: 0.7 }],
    ['macs', { targetMacs: '60%' }],
    ['parameters', { targetParams: '60%' }],
    ['bytes', { targetSize: '70%' }],
    ['ranks', { sparsity: 0.4, lowRank: true }],
    ['more-ranks', { sparsity: 0.7, lowRank: true }],
  ] as const) {
    const output = join(folder, `${name}.onnx`);
    const result = await pruneGraph(path, { ...files, ...target, output, structuredConvolutions });
    const names = result.sites.map((site) => site.name);
    if (!('lowRank' in target))
      t.deepEqual(names, ['kernel of a', 'a', 'kernel of b', 'b', 'kernel of c']);
    const { before, after } = result.sites[names.indexOf('kernel of b')]!;
    t.is(before, 3);
    t.is(after, 2, name);
    if (name === 'share') t.true(result.evaluation!.loss < 0.5 * widths.evaluation!.loss);
    t.true(Math.abs(result.evaluation!.loss - result.verification.actual) < 1e-5);
    using file = OnnxFile.open(output);
    const constants = [...constantsOf(file).values()];
    const sizeOf = (all: typeof constants) =>
      all.reduce((sum, each) => sum + each.values.length, 0);
    t.is(result.weightsAfter, sizeOf(constants.filter(({ dims }) => dims.length > 1)), name);
    t.is(result.parametersAfter, sizeOf(constants), name);
    if ('sparsity' in target) t.true(result.sparsity >= target.sparsity);
    if (name === 'macs') t.true(result.multiplyAddsAfter <= 0.6 * result.multiplyAddsBefore);
    if (name === 'parameters') t.true(result.parametersAfter <= 0.6 * result.parametersBefore);
  }
});

test('a run that was stopped goes on to the same bytes', async (t) => {
  const { path, calibration } = await layered(folderOf(t));
  await resumes(t, path, { calibration, structuredConvolutions, sparsity: 0.6, threads: 1 });
});

test('without refits a kernel is the closest composite one', async (t) => {
  const folder = folderOf(t);
  const { path, calibration } = await layered(folder);
  const output = join(folder, 'small.onnx');
  const options = { output, calibration, eval: calibration, structuredConvolutions, sparsity: 0.3 };
  const { evaluation, verification } = await pruneGraph(path, { ...options, refit: false });
  t.true(Math.abs(evaluation!.loss - verification.actual) < 1e-5);
});

test('kernels that no sum-pooling of ONNX has, or that have nothing to lose, are no sites', async (t) => {
  const folder = folderOf(t);
  const graph = {
    input: [value('x', ['batch', 4, 9, 9])],
    output: [value('y', ['batch', 4, 9, 9])],
    initializer: [
      ...[constant('a', [8, 4, 3, 3]), constant('b', [8, 1, 3, 3]), constant('c', [8, 8, 3, 3])],
      ...[constant('d', [8, 8, 1, 1]), constant('e', [4, 8, 3, 3])],
    ],
    node: [
      node('Conv x a -> m', { pads: [2, 2, 2, 2], dilations: [2, 2] }),
      node('Conv m b -> n', { pads: [1, 1, 1, 1], group: 8 }),
      node('Conv n c -> o', { auto_pad: 'SAME_UPPER' }),
      node('Conv o d -> p'),
      node('Conv p e -> y', { pads: [1, 1, 1, 1] }),
    ],
  };
  const { path, calibration } = await written(folder, graph, [16, 4, 9, 9]);
  const { sites } = await pruneGraph(path, {
    ...{ output: join(folder, 'small.onnx'), calibration, structuredConvolutions, sparsity: 0.1 },
  });
  t.deepEqual(
    sites.map(({ name }) => name).filter((name) => name.startsWith('kernel')),
    ['kernel of e'],
  );
});

test('a rule that reads no prices of kernels is refused', async (t) => {
  const folder = folderOf(t);
  const { path, calibration } = await layered(folder);
  const output = join(folder, 'small.onnx');
  const options = { output, calibration, structuredConvolutions, sparsity: 0.2 };
  for (const allocation of ['uniform', 'energy'] as const) {
    await t.throwsAsync(pruneGraph(path, { ...options, allocation }), {
      ...{ code: 'ERR_ARGUMENT', message: /does not weigh kernels/ },
    });
  }
});
