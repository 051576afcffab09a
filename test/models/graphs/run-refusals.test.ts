/** What a run over a graph refuses before any work, what it leaves alone, and how it goes on. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import Module from 'node:module';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import test, { type ExecutionContext } from 'ava';
import { type ArrayPlan, writeArrays } from '../../../lib/checkpoint/arrays-file';
import type { NativeAddon } from '../../../lib/engine/native';
import { addonFile } from '../../../lib/engine/native-files';
import { OnnxFile } from '../../../lib/models/graphs/onnx/file';
import { AttributeProtoSchema } from '../../../lib/models/graphs/onnx/onnx_pb';
import { Session } from '../../../lib/models/graphs/run/runtime';
import type { GraphOptions } from '../../../lib/options';
import { pruneGraph } from '../../../lib/prune-graph';
import { model, node, sizes, tensor, value } from './models';
import { folderOf } from './pruned';

const FIXTURES = join(__dirname, '../../fixtures/graph-runs');
const at = (name: string) => join(FIXTURES, name);

function array(
  name: string,
  shape: number[],
  fill: (i: number) => number,
  wide = false,
): ArrayPlan {
  const length = shape.reduce((a, b) => a * b, 1);
  const numbers = Array.from({ length }, (_, i) => fill(i));
  const values = wide ? Float64Array.from(numbers) : Float32Array.from(numbers);
  return { name, dtype: wide ? 'F64' : 'F32', shape, pieces: () => [values] };
}

const wave = (i: number) => Math.sin(i * i);

/** The residual fixture but for what is said; what it was to write and its journal are not there afterwards. */
async function refused(
  t: ExecutionContext,
  { code, message }: { code: string; message: RegExp },
  options: Partial<GraphOptions>,
  path = at('residual.onnx'),
): Promise<void> {
  const output = join(folderOf(t), 'small.onnx');
  const calibration = at('residual.inputs.safetensors');
  await t.throwsAsync(pruneGraph(path, { output, sparsity: 0.3, calibration, ...options }), {
    code,
    message,
  });
  t.deepEqual(readdirSync(join(output, '..')), []);
}

const argument = (message: RegExp) => ({ code: 'ERR_ARGUMENT', message });

test('samples that do not fit the inputs', async (t) => {
  const calibration = join(folderOf(t), 'samples.safetensors');
  const given = async (...arrays: ArrayPlan[]) => {
    await writeArrays(calibration, arrays, {}, { replace: true });
    return { calibration };
  };
  const shape = [4, 2, 9, 8];
  await refused(t, argument(/no tensor x, .*; it has y/), await given(array('y', shape, wave)));
  await refused(
    t,
    argument(/x in .* is F64; the graph takes F32/),
    await given(array('x', shape, wave, true)),
  );
  const thin = array('x', [4, 2, 9, 7], wave);
  await refused(
    t,
    argument(/\[4, 2, 9, 7\]; the graph takes \[samples, 2, 9, 8\]/),
    await given(thin),
  );
  await refused(t, argument(/0 samples/), await given(array('x', [0, 2, 9, 8], wave)));
  const holes = array('x', shape, (i) => (i === 300 ? Number.NaN : wave(i)));
  await refused(
    t,
    { code: 'ERR_NAN', message: /values in x that are not finite/ },
    await given(holes),
  );
  await refused(
    t,
    { code: 'ERR_NOT_FOUND', message: /none/ },
    { calibration: '/none.safetensors' },
  );
  await refused(t, { code: 'ERR_NAN', message: /x/ }, { eval: (await given(holes)).calibration });
});

test('files that are no graphs, and options that a graph does not read', async (t) => {
  const broken = join(folderOf(t), 'broken.onnx');
  writeFileSync(broken, 'this is no protobuf');
  await refused(t, { code: 'ERR_CHECKPOINT', message: /not a well-formed ONNX file/ }, {}, broken);
  await refused(t, { code: 'ERR_NOT_FOUND', message: /cannot be opened/ }, {}, '/none.onnx');
  await refused(t, argument(/the output .* is no .onnx file/), {
    output: join(folderOf(t), 'small'),
  });
  const foreign = { alpha: 0.5, tuneTokens: 5 } as Partial<GraphOptions>;
  await refused(t, argument(/without alpha, tuneTokens; leave them out/), foreign);
  await refused(t, argument(/nothing says what .* reads; give calibration/), {
    calibration: undefined,
  });
  await refused(
    t,
    { code: 'ERR_UNSUPPORTED', message: /no fisher layer weights/ },
    { layerWeights: 'fisher' },
  );
  await refused(t, argument(/keep 39 weights; ask for 39 or more/), {
    sparsity: 0.99,
    multiple: 1,
  });
});

// First: a package that has been found once is found without being looked for.
test.serial('without onnxruntime-node one error says how to have it', async (t) => {
  const loader = Module as unknown as {
    _resolveFilename: (name: string, ...rest: unknown[]) => string;
  };
  const resolve = loader._resolveFilename;
  t.teardown(() => {
    loader._resolveFilename = resolve;
  });
  loader._resolveFilename = (name, ...rest) => {
    if (name !== 'onnxruntime-node') return resolve.call(loader, name, ...rest);
    throw Object.assign(new Error(`no ${name}`), { code: 'MODULE_NOT_FOUND' });
  };
  const message = /install it with: npm install onnxruntime-node@/;
  await refused(t, { code: 'ERR_NOT_FOUND', message }, {});
});

for (const [when, runs, about] of [
  ['before anything runs', false, ', before what onnxruntime takes'],
  ['where onnxruntime has taken it', true, ''],
] as const) {
  test.serial(`a budget that has no room for the largest site, ${when}`, async (t) => {
    const native: NativeAddon = require(addonFile());
    const [{ run }, { peakRss }] = [Session.prototype, native];
    let hasRun = false;
    t.teardown(() => {
      Session.prototype.run = run;
      native.peakRss = peakRss;
    });
    Session.prototype.run = function (feeds) {
      hasRun = true;
      return run.call(this, feeds);
    };
    // What the process takes already is among what is needed.
    const memory = process.memoryUsage.rss();
    if (runs) native.peakRss = () => (hasRun ? peakRss() : 0);
    const message = new RegExp(
      `the graph and its largest site need \\d+ MiB${about}, the budget is \\d+ MiB; raise memory`,
    );
    await refused(t, { code: 'ERR_BUDGET', message }, { memory, threads: 1 });
    t.is(hasRun, runs);
  });
}

test('a graph that takes one sample at a time, and does not say so', async (t) => {
  const folder = folderOf(t);
  const [path, calibration] = [join(folder, 'single.onnx'), join(folder, 'samples.safetensors')];
  const graph = {
    input: [value('x', ['batch', 6])],
    output: [value('y', [1, 3])],
    initializer: [tensor('a', [6, 8]), tensor('b', [8, 3]), sizes('one', [1, 3])],
    node: [node('MatMul x a -> h'), node('MatMul h b -> k'), node('Reshape k one -> y')],
  };
  writeFileSync(path, model(graph));
  await writeArrays(calibration, [array('x', [16, 6], wave)], {}, {});
  const message = /onnxruntime does not run the model on these samples: .*Reshape.*batch of 1$/s;
  await refused(t, { code: 'ERR_UNSUPPORTED', message }, { calibration }, path);
});

test('a weight that is no finite number is named', async (t) => {
  const folder = folderOf(t);
  const [path, calibration] = [join(folder, 'odd.onnx'), join(folder, 'samples.safetensors')];
  const b = tensor('b', [8, 3]);
  new Float32Array(b.rawData.buffer)[13] = Number.NaN;
  const graph = {
    input: [value('x', ['batch', 6])],
    output: [value('y', ['batch', 3])],
    initializer: [tensor('a', [6, 8]), b],
    node: [node('MatMul x a -> h'), node('Relu h -> r'), node('MatMul r b -> y')],
  };
  writeFileSync(path, model(graph));
  await writeArrays(calibration, [array('x', [16, 6], wave)], {}, {});
  const message = /odd\.onnx has weights in b that are not finite; export/;
  await refused(t, { code: 'ERR_NAN', message }, { calibration }, path);
});

test('what is not understood stays, and is named, and what is behind it shrinks', async (t) => {
  const folder = folderOf(t);
  const [path, calibration] = [join(folder, 'odd.onnx'), join(folder, 'samples.safetensors')];
  const weights = (name: string, dims: number[]) => {
    const drawn = tensor(name, dims);
    const values = new Float32Array(drawn.rawData.buffer);
    values.forEach((_, i) => {
      values[i] = Math.cos(7 * i * i);
    });
    return drawn;
  };
  const graph = {
    input: [value('x', ['batch', 6])],
    output: [value('y', ['batch', 3])],
    initializer: [
      ...[weights('a', [6, 8]), weights('b', [8, 8])],
      ...[weights('c', [8, 9]), weights('d', [9, 3]), sizes('all', [8])],
    ],
    node: [
      node('MatMul x a -> h'),
      node('Relu h -> r'),
      node('MatMul r b -> k'),
      node('TopK k all -> s places'),
      node('MatMul s c -> l'),
      node('Relu l -> u'),
      node('MatMul u d -> y'),
    ],
  };
  writeFileSync(path, model(graph));
  await writeArrays(calibration, [array('x', [40, 6], wave)], {}, {});
  const output = join(folder, 'small.onnx');
  const result = await pruneGraph(path, { output, calibration, sparsity: 0.3 });
  t.deepEqual(
    result.sites.map(({ name }) => name),
    ['a', 'c'],
  );
  t.is(result.weightsBefore, 211);
  t.deepEqual(result.held, []);
  t.true(result.verification.actual < 1);
  using small = OnnxFile.open(output);
  const dims = small.model.graph!.initializer.map(({ name, dims: sizes }) => [
    name,
    sizes.map(Number),
  ]);
  const [first, second] = result.sites.map(({ after }) => after);
  t.true(first! < 8 && second! < 9);
  t.deepEqual(dims, [
    ['a', [6, first]],
    ['b', [first, 8]],
    ['c', [8, second]],
    ['d', [second, 3]],
    ['all', [1]],
  ]);
});

test('what a graph reads in other runs and not in this one is named', async (t) => {
  const folder = folderOf(t);
  const warnings: string[] = [];
  const options = { calibration: at('residual.inputs.safetensors'), sparsity: 0.3, threads: 1 };
  const warned = async (asked: Partial<GraphOptions>) => {
    const output = join(folder, 'small.onnx');
    const result = await pruneGraph(at('residual.onnx'), {
      ...{ ...options, ...asked, output, force: true },
      onWarning: (warning) => warnings.push(warning),
    });
    t.deepEqual(result.warnings, warnings.splice(0));
    return result.warnings;
  };
  t.deepEqual(await warned({ searchRounds: 1, lowRank: true }), [
    'searchRounds has no effect with lowRank: true',
  ]);
  t.deepEqual(await warned({ searchRounds: 1, temperature: 2, allocation: 'uniform' }), [
    'searchRounds has no effect with allocation uniform',
    'temperature has no effect without allocation energy',
  ]);
  t.deepEqual(await warned({ admmRho: 1, structuredConvolutions: true }), [
    'admmRho has no effect without mask admm',
  ]);
});

test('what is quantised stays, and what is around it shrinks', async (t) => {
  const folder = folderOf(t);
  const [path, calibration] = [join(folder, 'quantised.onnx'), join(folder, 'samples.safetensors')];
  await writeArrays(calibration, [array('x', [40, 6], wave)], {}, {});
  const drawn = (name: string, dims: number[]) => {
    const made = tensor(name, dims);
    new Float32Array(made.rawData.buffer).forEach((_, i, all) => {
      all[i] = Math.cos(7 * i * i);
    });
    return made;
  };
  const bytes = Int8Array.from({ length: 64 }, (_, i) => (37 * i) % 100);
  const scale = Object.assign(tensor('scale', []), {
    rawData: new Uint8Array(Float32Array.of(0.1).buffer),
  });
  const graph = {
    input: [value('x', ['batch', 6])],
    output: [value('y', ['batch', 3])],
    initializer: [
      ...[drawn('a', [6, 8]), drawn('b', [8, 8]), drawn('c', [8, 8]), drawn('d', [8, 3])],
      ...[scale, Object.assign(tensor('zero', []), { dataType: 3, rawData: Uint8Array.of(0) })],
      Object.assign(tensor('w', [8, 8]), { dataType: 3, rawData: new Uint8Array(bytes.buffer) }),
    ],
    node: [
      ...[node('MatMul x a -> h'), node('Relu h -> r'), node('MatMul r b -> k')],
      ...[node('QuantizeLinear k scale zero -> q'), node('DequantizeLinear q scale zero -> f')],
      ...[node('DequantizeLinear w scale zero -> g'), node('MatMul f g -> m')],
      ...[node('MatMul m c -> n'), node('Relu n -> s'), node('MatMul s d -> y')],
    ],
  };
  writeFileSync(path, model(graph));
  const output = join(folder, 'small.onnx');
  const result = await pruneGraph(path, { output, calibration, sparsity: 0.3 });
  t.deepEqual(
    result.sites.map(({ name }) => name),
    ['a', 'c'],
  );
  t.is(result.weightsBefore, 264);
  t.deepEqual(result.held, [{ reason: 'DequantizeLinear: quantised', share: 64 / 264 }]);
  using small = OnnxFile.open(output);
  const left = small.model.graph!.initializer.find(({ name }) => name === 'w')!;
  t.deepEqual([left.dims.map(Number), left.dataType], [[8, 8], 3]);
});

test('an Einsum that is no plain product stays', async (t) => {
  const folder = folderOf(t);
  const [path, calibration] = [join(folder, 'einsum.onnx'), join(folder, 'samples.safetensors')];
  await writeArrays(calibration, [array('x', [40, 3, 6], wave)], {}, {});
  const graph = {
    input: [value('x', ['batch', 3, 6])],
    output: [value('y', ['batch', 3, 4])],
    initializer: [tensor('a', [6, 8]), tensor('b', [8, 5]), tensor('c', [3, 5, 4])],
    node: [
      ...[node('MatMul x a -> p'), node('Relu p -> q'), node('MatMul q b -> r')],
      node('Einsum r c -> y', { equation: 'bsd,sdk->bsk' }),
    ],
  };
  writeFileSync(path, model(graph));
  const output = join(folder, 'small.onnx');
  const result = await pruneGraph(path, { output, calibration, sparsity: 0.1 });
  t.deepEqual(
    result.sites.map(({ name }) => name),
    ['a'],
  );
  t.true(result.held.some(({ reason }) => reason === 'Einsum: it is no plain product'));
});

test('states that a clipped gate comes before, or that begin as constants, stay', async (t) => {
  const folder = folderOf(t);
  const drawn = (name: string, dims: number[]) => {
    const made = tensor(name, dims);
    new Float32Array(made.rawData.buffer).forEach((_, i, all) => {
      all[i] = Math.cos(7 * i * i);
    });
    return made;
  };
  const calibration = join(folder, 'samples.safetensors');
  await writeArrays(calibration, [array('x', [40, 3, 6], wave)], {}, {});
  const reasons = [
    [{ hidden_size: 8 }, '', 'GRU: a gate of its own kind comes before its map'],
    [
      { hidden_size: 8, linear_before_reset: 1 },
      ' - - begin',
      'GRU: it begins with a constant state',
    ],
  ] as const;
  for (const [set, more, reason] of reasons) {
    const path = join(folder, 'gated.onnx');
    const graph = {
      input: [value('x', [40, 3, 6])],
      output: [value('y', [1, 3, 2])],
      initializer: [
        ...[drawn('a', [6, 5]), drawn('w', [1, 24, 5]), drawn('r', [1, 24, 8])],
        ...[drawn('c', [8, 2]), drawn('begin', [1, 3, 8])],
      ],
      node: [
        node('MatMul x a -> h'),
        node(`GRU h w r${more} -> - last`, set),
        node('MatMul last c -> y'),
      ],
    };
    const clip = create(AttributeProtoSchema, { name: 'clip', type: 1, f: 9 });
    if (more === '') graph.node[1]!.attribute.push(clip);
    for (const each of graph.node) {
      each.input = each.input.map((name) => (name === '-' ? '' : name));
      each.output = each.output.map((name) => (name === '-' ? '' : name));
    }
    writeFileSync(path, model(graph));
    const output = join(folder, 'small.onnx');
    const result = await pruneGraph(path, { output, calibration, sparsity: 0.1, force: true });
    t.deepEqual(
      result.sites.map(({ name }) => name),
      ['a'],
    );
    t.true(result.held.some((held) => held.reason === reason));
  }
});

for (const [name, finished, how, asked] of [
  ['residual', 2, '', {}],
  ['concat', 1, '', {}],
  ['residual', 1, ' with feedback', { beta: 0.5 }],
  ['concat', 1, ' behind a search', { searchRounds: 2 }],
] as const) {
  test(`${name}: a run that was stopped goes on from its journal to the same bytes${how}`, async (t) => {
    const folder = folderOf(t);
    const calibration = at(`${name}.inputs.safetensors`);
    const options = { ...asked, calibration, sparsity: 0.4, threads: 1 };
    const [whole, stopped] = [join(folder, 'whole.onnx'), join(folder, 'stopped.onnx')];
    await pruneGraph(at(`${name}.onnx`), { ...options, output: whole });
    const stop = new AbortController();
    const reason = new Error('stopped');
    const run = pruneGraph(at(`${name}.onnx`), {
      ...options,
      ...{ output: stopped, signal: stop.signal },
      onProgress: ({ stage, done }) => {
        if (stage === 'solve' && done === finished) stop.abort(reason);
      },
    });
    t.is(await t.throwsAsync(run), reason);
    t.false(existsSync(stopped));
    const resumed = await pruneGraph(at(`${name}.onnx`), {
      ...options,
      output: stopped,
      resume: true,
    });
    t.is(resumed.resumedSites, finished);
    t.deepEqual(readFileSync(stopped), readFileSync(whole));
    await t.throwsAsync(pruneGraph(at(`${name}.onnx`), { ...options, output: stopped }), {
      code: 'ERR_OUTPUT',
      message: /exists already/,
    });
  });
}
