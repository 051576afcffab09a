/** Small graphs against numpy: scripts/oracles/make-graph-run-fixtures.py. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import test from 'ava';
import { type ArrayPlan, writeArrays } from '../../../lib/checkpoint/arrays-file';
import { parseSafetensors } from '../../../lib/checkpoint/container';
import type { MaskFunction } from '../../../lib/masks/own';
import { OnnxFile } from '../../../lib/models/graphs/onnx/file';
import { floatsIn } from '../../../lib/models/graphs/onnx/floats';
import { GraphProtoSchema } from '../../../lib/models/graphs/onnx/onnx_pb';
import { dimsOf, FLOAT, FLOAT16 } from '../../../lib/models/graphs/onnx/tensor';
import { relate } from '../../../lib/models/graphs/relate';
import { lossesOf } from '../../../lib/models/graphs/run/losses';
import { compare } from '../../../lib/models/graphs/run/measured';
import { Runtime } from '../../../lib/models/graphs/run/runtime';
import { Samples } from '../../../lib/models/graphs/run/samples';
import type { Outputs } from '../../../lib/options/feeds';
import { pruneGraph } from '../../../lib/prune-graph';
import { model, node, tensor, value } from './models';
import { folderOf, gapOf } from './pruned';

const FIXTURES = join(__dirname, '../../fixtures/graph-runs');
const NAMES = [
  ...['mlp', 'residual', 'depthwise', 'transposed'],
  ...[
    'recurrent',
    'reversed',
    'stateful',
    'half',
    'fused',
    'concat',
    'einsum',
    'gated',
    'attention',
    'groups',
    'scaled',
  ],
];

/** Those of which the oracle has half of the feedback too. */
const FED = ['mlp', 'residual', 'concat'];

const at = (name: string) => join(FIXTURES, name);

/** What the oracle left, by the names of constants; `WEIGHT bias` is the bias of the node that has that weight. */
function expectedOf(name: string, what: string) {
  const path = at(`${name}.${what}.safetensors`);
  const { tensors, metadata } = parseSafetensors(path);
  const bytes = readFileSync(path);
  const constants = tensors.map(({ name: key, shape, dtype, offset, bytes: length }) => ({
    key,
    shape,
    dataType: dtype === 'F16' ? FLOAT16 : FLOAT,
    values: floatsIn(dtype === 'F16' ? FLOAT16 : FLOAT, bytes.subarray(offset, offset + length)),
  }));
  const kept: Record<string, number[]> = JSON.parse(metadata.kept!);
  return { constants, kept, sparsity: Number(metadata.sparsity) };
}

/** A constant of numbers in [-scale, scale], moved by `offset`. */
function constant(name: string, dims: number[], offset = 0, scale = 1) {
  const made = tensor(name, dims);
  const values = new Float32Array(made.rawData.buffer);
  values.forEach((_, i) => {
    values[i] = offset + scale * Math.cos(7 * i * i);
  });
  return made;
}

for (const [name, beta, how] of [
  ...NAMES.map((each) => [each, 0, ''] as const),
  ...FED.map((each) => [each, 0.5, ' with feedback'] as const),
]) {
  test(`${name}: what is written is the oracle's masks and least squares${how}`, async (t) => {
    const output = join(folderOf(t), 'small.onnx');
    const { constants, kept, sparsity } = expectedOf(name, beta ? 'fed' : 'pruned');
    const result = await pruneGraph(at(`${name}.onnx`), {
      ...{ output, sparsity, allocation: 'uniform', beta, multiple: 1 },
      calibration: at(`${name}.inputs.safetensors`),
      eval: at(`${name}.inputs.safetensors`),
    });
    t.deepEqual(
      result.sites.map(({ name: site, after }) => [site, after]),
      Object.entries(kept).map(([site, units]) => [site, units.length]),
    );
    t.true(Math.abs(result.sparsity - sparsity) < 1e-12);
    t.true(Math.abs(result.weightsAfter / result.weightsBefore - (1 - sparsity)) < 1e-12);
    t.deepEqual(
      result.held.filter(({ share }) => share > 0.5),
      [],
    );
    using file = OnnxFile.open(output);
    const { initializer, node } = file.model.graph!;
    for (const { key, shape, dataType, values } of constants) {
      const weight = key.endsWith(' bias') ? key.slice(0, -' bias'.length) : null;
      const wanted = weight ? node.find(({ input }) => input[1] === weight)!.input[2] : key;
      const tensor = initializer.find((each) => each.name === wanted)!;
      t.deepEqual([tensor.dataType, dimsOf(tensor)], [dataType, shape], key);
      const data = file.data(tensor);
      const found = floatsIn(dataType, data.read(0, data.length));
      const most = values.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
      // Of 16 bits the next one may be as near.
      const step = dataType === FLOAT16 ? 2 ** -10 : 0;
      const gap = found.reduce(
        (a, b, i) => Math.max(a, Math.abs(b - values[i]!) - step * Math.abs(values[i]!)),
        0,
      );
      t.true(gap <= 1e-4 * most, `${key}: ${gap} of ${most}`);
    }
    // The verification ran the file itself, which gives on these samples what was measured.
    t.true(Math.abs(result.evaluation!.loss - result.verification.actual) < 1e-6);
    t.true(result.evaluation!.loss > 0);
    t.false(existsSync(`${output}.struprune-journal`));
  });
}

test('states that a caller keeps have their size: units that are gone are zeros, and are not read', async (t) => {
  const folder = folderOf(t);
  const output = join(folder, 'small.onnx');
  const calibration = at('stateful.inputs.safetensors');
  const { sites, losses } = await pruneGraph(at('stateful.onnx'), {
    ...{ output, calibration, sparsity: 0.4, allocation: 'uniform' },
  });
  t.deepEqual(
    losses.map(({ output: name }) => name),
    ['y'],
  );
  const runtime = new Runtime(1, folder);
  await using session = await runtime.open(output);
  const x = runtime.tensor('float32', Float32Array.from({ length: 20 }, Math.sin), [1, 5, 4]);
  const state = (values: Float32Array) => runtime.tensor('float32', values, [1, 1, 6]);
  const begin = state(new Float32Array(6).fill(0.5));
  const first = await session.run({ x, h: begin, c: begin });
  const [h, c] = ['hn', 'cn'].map((name) => first[name]!.data as Float32Array);
  t.deepEqual(first.hn!.dims, [1, 1, 6]);
  const gone = [...h!.keys()].filter((i) => h![i] === 0);
  t.is(gone.length, 6 - sites[0]!.after);
  t.true(gone.every((i) => c![i] === 0));
  const noisy = (values: Float32Array) =>
    state(values.map((value, i) => (gone.includes(i) ? 9 : value)));
  const [again, same] = [
    await session.run({ x, h: state(h!), c: state(c!) }),
    await session.run({ x, h: noisy(h!), c: noisy(c!) }),
  ];
  t.deepEqual(again.y!.data, same.y!.data);
  t.notDeepEqual(again.y!.data, first.y!.data);
});

for (const [what, offset] of [
  ['hardly vary', 1000],
  ['are all zeros', -1000],
] as const) {
  test(`values that ${what} are no obstacle`, async (t) => {
    const folder = folderOf(t);
    const [path, calibration] = [join(folder, 'flat.onnx'), join(folder, 'inputs')];
    const graph = {
      input: [value('x', ['batch', 6])],
      output: [value('y', ['batch', 3])],
      initializer: [
        ...[constant('a', [6, 8]), constant('high', [8], offset)],
        ...[constant('c', [8, 3]), constant('d', [3])],
      ],
      node: [
        ...[node('MatMul x a -> p'), node('Add p high -> h'), node('Relu h -> r')],
        ...[node('MatMul r c -> q'), node('Add q d -> y')],
      ],
    };
    writeFileSync(path, model(graph));
    const x = Float32Array.from({ length: 60 }, (_, i) => 1e-3 * Math.sin(i * i));
    const inputs: ArrayPlan = { name: 'x', dtype: 'F32', shape: [10, 6], pieces: () => [x] };
    await writeArrays(calibration, [inputs], {}, {});
    const result = await pruneGraph(path, {
      ...{ output: join(folder, 'small.onnx'), sparsity: 0.4, allocation: 'uniform' },
      ...{ calibration, eval: calibration },
    });
    t.is(result.sites[0]!.after, 4);
    t.true(result.evaluation!.loss < 1e-6, `${result.evaluation!.loss}`);
  });
}

test('multiply-adds go by the rows that a map sees, and a target in them holds', async (t) => {
  const folder = folderOf(t);
  const [path, calibration] = [join(folder, 'rows.onnx'), join(folder, 'rows.inputs')];
  const graph = {
    input: [value('x', ['batch', 16, 6])],
    output: [value('y', ['batch', 3])],
    initializer: [constant('a', [6, 8]), constant('b', [8, 12]), constant('c', [12, 3])],
    node: [
      ...[node('MatMul x a -> p'), node('Relu p -> r'), node('MatMul r b -> q')],
      node('ReduceMean q -> m', { axes: [1], keepdims: 0 }),
      ...[node('Relu m -> s'), node('MatMul s c -> y')],
    ],
  };
  writeFileSync(path, model(graph));
  const x = Float32Array.from({ length: 40 * 96 }, (_, i) => Math.sin(i * i));
  const inputs: ArrayPlan = { name: 'x', dtype: 'F32', shape: [40, 16, 6], pieces: () => [x] };
  await writeArrays(calibration, [inputs], {}, {});
  const files = { calibration, output: join(folder, 'small.onnx') };
  const result = await pruneGraph(path, { ...files, targetMacs: '60%' });
  const multiplyAdds = (wide: number, narrow: number) =>
    16 * (6 * wide + wide * narrow) + 3 * narrow;
  t.is(result.multiplyAddsBefore, multiplyAdds(8, 12));
  const [wide, narrow] = result.sites.map(({ after }) => after) as [number, number];
  t.is(result.multiplyAddsAfter, multiplyAdds(wide, narrow));
  const most = 0.6 * multiplyAdds(8, 12);
  t.true(result.multiplyAddsAfter <= most && multiplyAdds(wide + 1, narrow + 1) > most);
});

/** Products of width 8 one after the other. */
async function chainOf(folder: string, layers: number, samples = 512) {
  const [path, calibration] = [join(folder, `${layers}.onnx`), join(folder, `${layers}.inputs`)];
  const names = Array.from({ length: layers }, (_, i) => i);
  const graph = {
    input: [value('h0', ['batch', 8])],
    output: [value('y', ['batch', 8])],
    // Values neither grow nor vanish.
    initializer: names.map((i) => constant(`w${i}`, [8, 8], 0, 0.6)),
    node: names.flatMap((i) => [
      node(`MatMul h${i} w${i} -> p${i}`),
      node(`Relu p${i} -> ${i === layers - 1 ? 'y' : `h${i + 1}`}`),
    ]),
  };
  writeFileSync(path, model(graph));
  const x = Float32Array.from({ length: samples * 8 }, (_, i) => Math.sin(i * i));
  const inputs: ArrayPlan = { name: 'h0', dtype: 'F32', shape: [samples, 8], pieces: () => [x] };
  await writeArrays(calibration, [inputs], {}, {});
  return { path, calibration, output: join(folder, `${layers}.small.onnx`) };
}

test('a graph of three times as many layers runs as often', async (t) => {
  const folder = folderOf(t);
  const passes: number[] = [];
  for (const layers of [20, 60]) {
    const { path, ...files } = await chainOf(folder, layers);
    const result = await pruneGraph(path, { ...files, sparsity: 0.2 });
    t.is(result.sites.length, layers - 1);
    passes.push(result.passes);
  }
  const [few, many] = passes as [number, number];
  t.log(few, many);
  // Of the dense network, the survey, its trials, the solve, and what was solved.
  t.true(few > 8 && few < 14, `${few}`);
  t.true(many < 1.25 * few, `${many}, ${few}`);
});

test.serial(
  'of three times as many layers no more than three times as many are opened',
  async (t) => {
    const folder = folderOf(t);
    const runtimes = new Set<Runtime>();
    const { part } = Runtime.prototype;
    Runtime.prototype.part = function (...given) {
      runtimes.add(this);
      return part.apply(this, given);
    };
    t.teardown(() => {
      Runtime.prototype.part = part;
    });
    const opened: number[] = [];
    for (const layers of [70, 210]) {
      runtimes.clear();
      const { path, ...files } = await chainOf(folder, layers, 16);
      await pruneGraph(path, { ...files, sparsity: 0.2 });
      opened.push([...runtimes].reduce((sum, each) => sum + each.opened, 0));
    }
    const [few, many] = opened as [number, number];
    t.log(few, many);
    // Trials of the shorter one share few sessions, as its blocks are the longer one's.
    t.true(many < 3.5 * few, `${many}, ${few}`);
  },
);

test('a loss of the caller’s gets the outputs of one batch, wherever in the graph they are', async (t) => {
  const folder = folderOf(t);
  const path = join(folder, 'two.onnx');
  const graph = {
    input: [value('x', ['batch', 8])],
    output: [value('early', ['batch', 2]), value('late', ['batch', 4])],
    initializer: [constant('e', [8, 2]), constant('a', [8, 8]), constant('b', [8, 4])],
    node: [
      node('MatMul x e -> early'),
      node('MatMul x a -> p'),
      node('Relu p -> r'),
      node('MatMul r b -> late'),
    ],
  };
  writeFileSync(path, model(graph));
  const data = Float32Array.from({ length: 40 * 8 }, (_, i) => Math.sin(i * i));
  const loss = (dense: Outputs, { early, late }: Outputs) => {
    t.deepEqual(early!.data, dense.early!.data);
    return gapOf(late!.data as Float32Array, dense.late!.data as Float32Array);
  };
  const { evaluation } = await pruneGraph(path, {
    ...{ output: join(folder, 'small.onnx'), sparsity: 0.3, ownLoss: { name: 'late', loss } },
    calibrationFeeds: [{ x: { data, dims: [40, 8] } }],
    evalFeeds: [{ x: { data, dims: [40, 8] } }],
  });
  t.true(evaluation!.loss > 0);
});

for (const [what, columns, batch] of [
  ['eight of small samples', 4, 8],
  ['as many as have 8 MiB of larger ones', 3 * 2 ** 18, 2],
  ['one that is larger', 2 ** 21 + 1, 1],
] as const)
  test(`a batch: ${what}`, async (t) => {
    const path = join(folderOf(t), 'samples.safetensors');
    const data = new Float32Array(3 * columns).map((_, i) => i);
    const x: ArrayPlan = { name: 'x', dtype: 'F32', shape: [3, columns], pieces: () => [data] };
    await writeArrays(path, [x], {}, {});
    const graph = create(GraphProtoSchema, { input: [value('x', ['batch', columns])] });
    using samples = await Samples.open(path, graph, new Runtime(1, folderOf(t)));
    t.deepEqual([samples.batch, samples.batches], [batch, Math.ceil(3 / batch)]);
    const read = [...samples.read()].map(({ x }) => x!);
    t.deepEqual(
      read.map(({ dims }) => dims[0]),
      [...Array(samples.batches).keys()].map((i) => Math.min(batch, 3 - i * batch)),
    );
    const last = read.at(-1)!.data as Float32Array;
    t.is(last.at(-1), data.at(-1));
  });

test('graphs that a budget has no room for are compared in segments: the loss is the same', async (t) => {
  const folder = folderOf(t);
  const [path, output] = [at('residual.onnx'), join(folder, 'small.onnx')];
  const calibration = at('residual.inputs.safetensors');
  await pruneGraph(path, { calibration, output, sparsity: 0.3, allocation: 'uniform' });
  using file = OnnxFile.open(path);
  const network = relate(file);
  const runtime = new Runtime(1, folder);
  using samples = await Samples.open(calibration, network.graph, runtime);
  const losses: number[] = [];
  for (const memory of [0, 1]) {
    const running = { runtime, room: { memory, scratch: folder }, between: () => {} };
    const { loss } = await compare([path, output], samples, lossesOf(network), running);
    losses.push(loss);
  }
  const [whole, parts] = losses as [number, number];
  t.true(whole > 0);
  t.true(Math.abs(parts - whole) < 1e-6 * whole, `${whole}, ${parts}`);
  t.deepEqual(readdirSync(folder), ['small.onnx']);
});

test('widths are multiples of 8 where nothing is asked, of fewer where a layer is narrow, and of whole heads', async (t) => {
  const folder = folderOf(t);
  const path = join(folder, 'wide.onnx');
  const widths = { a: 64, b: 24, c: 12, d: 5 };
  const sizes = [8, ...Object.values(widths), 3];
  const names = sizes.slice(1).map((_, i) => `w${i}`);
  const graph = {
    input: [value('h0', ['batch', 8])],
    output: [value(`h${names.length}`, ['batch', 3])],
    initializer: names.map((name, i) => constant(name, [sizes[i]!, sizes[i + 1]!])),
    node: names.map((name, i) => node(`MatMul h${i} ${name} -> h${i + 1}`)),
  };
  writeFileSync(path, model(graph));
  const data = Float32Array.from({ length: 200 * 8 }, (_, i) => Math.sin(i * i));
  const run = async (multiple?: number) => {
    const { sites } = await pruneGraph(path, {
      ...{
        output: join(folder, `${multiple}.onnx`),
        sparsity: multiple ? 0.2 : 0.4,
        allocation: 'uniform',
      },
      ...(multiple !== undefined && { multiple }),
      calibrationFeeds: [{ h0: { data, dims: [200, 8] } }],
    });
    return sites.map(({ after }) => after);
  };
  const [a, b, c, d] = (await run()) as [number, number, number, number];
  for (const [left, each, whole] of [
    [a, 8, 64],
    [b, 4, 24],
    [c, 2, 12],
    [d, 1, 5],
  ] as const) {
    t.is(left % each, 0);
    t.true(left < whole, `${left} of ${whole}`);
  }
  // What is asked holds as it is: 12 and 5 have no such width below their own.
  t.deepEqual(
    (await run(16)).map((left, i) => left === sizes[i + 1] || left % 16 === 0),
    [true, true, true, true],
  );
  // Any heads may go.
  let offered: number[][] = [];
  await pruneGraph(at('attention.onnx'), {
    ...{ output: join(folder, 'heads.onnx'), sparsity: 0, multiple: 4 },
    calibration: at('attention.inputs.safetensors'),
    allocation: {
      allocate: (layers) => {
        offered = layers.map(({ allowed }) => [...allowed]);
        return layers.map(() => 0);
      },
    },
  });
  t.deepEqual(offered, [
    [0, 2, 6],
    [0, 1, 2, 3],
    [0, 4],
  ]);
});

test('ADMM’s masks are nearly as good as the best of all, and are refitted', async (t) => {
  const folder = folderOf(t);
  const path = join(folder, 'chain.onnx');
  const graph = {
    input: [value('x', ['batch', 6])],
    output: [value('y', ['batch', 5])],
    initializer: [constant('a', [6, 10]), constant('b', [10, 5])],
    node: [node('MatMul x a -> h'), node('Relu h -> r'), node('MatMul r b -> y')],
  };
  writeFileSync(path, model(graph));
  const data = Float32Array.from({ length: 300 * 6 }, (_, i) => Math.sin(i * i));
  let [best, worst] = [Number.POSITIVE_INFINITY, 0];
  const search: MaskFunction = async ({ solver, structure: { groups }, keep }) => {
    let found: Uint8Array | null = null;
    for (let bits = 0; bits < 1 << groups; bits++) {
      const mask = Uint8Array.from({ length: groups }, (_, i) => (bits >> i) & 1);
      if (mask.reduce((sum, bit) => sum + bit, 0) !== keep) continue;
      using refit = await solver.refit(mask);
      worst = Math.max(worst, refit.relativeError);
      if (refit.relativeError >= best) continue;
      [best, found] = [refit.relativeError, mask];
    }
    return found!;
  };
  const errorOf = async (name: string, mask: 'admm' | { search: MaskFunction }) => {
    const { sites } = await pruneGraph(path, {
      ...{ output: join(folder, `${name}.onnx`), sparsity: 0.4, multiple: 1, mask },
      ...{ allocation: 'uniform', threads: 1 },
      calibrationFeeds: [{ x: { data, dims: [300, 6] } }],
    });
    return sites[0]!.relativeError!;
  };
  t.is(await errorOf('all', { search }), best);
  const admm = await errorOf('admm', 'admm');
  t.log(best, admm, worst);
  t.true(admm >= best && admm <= 1.05 * best, `${admm}, ${best}`);
  t.true(worst > 2 * best, 'a choice that matters');
});

for (const name of ['concat', 'residual', 'depthwise', 'attention', 'chain']) {
  test(`${name}: a search goes by what the graph loses with all sites cut, on samples that none was fitted to`, async (t) => {
    const folder = folderOf(t);
    const { path, calibration } =
      name === 'chain'
        ? await chainOf(folder, 8)
        : { path: at(`${name}.onnx`), calibration: at(`${name}.inputs.safetensors`) };
    const [tensor] = parseSafetensors(calibration).tensors;
    const { name: input, shape, offset, bytes } = tensor!;
    const [samples, ...dims] = shape as [number, ...number[]];
    const all = readFileSync(calibration).subarray(offset, offset + bytes);
    const each = bytes / samples / 4;
    const feeds = (from: number, end: number) => {
      const data = new Float32Array(Uint8Array.from(all).buffer).slice(from * each, end * each);
      return [{ [input]: { data, dims: [end - from, ...dims] } }];
    };
    const run = async (what: string, options: Partial<Parameters<typeof pruneGraph>[1]>) => {
      const { sites, search, evaluation } = await pruneGraph(path, {
        ...{ output: join(folder, `${what}.small.onnx`), threads: 1, multiple: 1, sparsity: 0.3 },
        ...options,
      });
      return { removed: sites.map(({ before, after }) => before - after), search, evaluation };
    };
    // A fourth of the batches of eight samples is measured alone.
    const fitted = samples - 8 * Math.floor(samples / 8 / 4);
    const calibrationFeeds = feeds(0, samples);
    const alone = async (what: string, removed: readonly number[]) => {
      const { evaluation } = await run(what, {
        ...{ calibrationFeeds: feeds(0, fitted), evalFeeds: feeds(fitted, samples) },
        ...{ allocation: { allocate: () => removed }, sparsity: 0 },
      });
      return evaluation!.loss;
    };
    const given = await run('given', { calibrationFeeds });
    const found = await run('found', { calibrationFeeds, searchRounds: 3 });
    const { before, after } = found.search!;
    const wanted = [await alone('a', given.removed), await alone('b', found.removed)] as const;
    t.log(before, after, ...wanted, given.removed, found.removed);
    t.true(Math.abs(before - wanted[0]) < 1e-4 * wanted[0], 'before');
    t.true(Math.abs(after - wanted[1]) < 1e-4 * wanted[1], 'after');
    t.true(name === 'chain' ? after < before : after <= before);
  });
}
