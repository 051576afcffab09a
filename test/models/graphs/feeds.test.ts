/** Samples that a program gives one after the other are those of a file. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { parseSafetensors } from '../../../lib/checkpoint/container';
import type { FeedSource, Feeds, Outputs } from '../../../lib/options/feeds';
import { pruneGraph } from '../../../lib/prune-graph';
import { folderOf } from './pruned';

const FIXTURES = join(__dirname, '../../fixtures/graph-runs');
const at = (name: string) => join(FIXTURES, name);

/** The fixture's samples in parts of so many, as they come. */
function* partsOf(name: string, ...sizes: number[]): Generator<Feeds> {
  const path = at(`${name}.inputs.safetensors`);
  const { tensors } = parseSafetensors(path);
  const bytes = readFileSync(path);
  let first = 0;
  for (const size of sizes) {
    const feeds = tensors.map(({ name: key, shape, offset, bytes: length }) => {
      const each = length / shape[0]!;
      const part = bytes.subarray(offset + first * each, offset + (first + size) * each);
      const data = new Float32Array(Uint8Array.from(part).buffer);
      return [key, { data, dims: [size, ...shape.slice(1)] }];
    });
    yield Object.fromEntries(feeds);
    first += size;
  }
}

for (const name of ['mlp', 'stateful']) {
  test(`${name}: the same file, whether they come from memory or from a file`, async (t) => {
    const folder = folderOf(t);
    const [fed, read] = ['fed.onnx', 'read.onnx'].map((each) => join(folder, each));
    const common = { sparsity: 0.4, allocation: 'uniform', threads: 1, scratch: folder } as const;
    const calibration = at(`${name}.inputs.safetensors`);
    const wanted = await pruneGraph(at(`${name}.onnx`), {
      ...{ ...common, output: read!, calibration, eval: calibration },
    });
    const found = await pruneGraph(at(`${name}.onnx`), {
      ...{ ...common, output: fed! },
      calibrationFeeds: (async function* () {
        yield* partsOf(name, 1, 30, 17);
      })(),
      evalFeeds: [...partsOf(name, 48)],
    });
    t.is(found.calibrationSamples, 48);
    t.deepEqual(found.evaluation, wanted.evaluation);
    t.deepEqual(readFileSync(fed!), readFileSync(read!));
    t.deepEqual(readdirSync(folder).sort(), ['fed.onnx', 'read.onnx']);
  });
}

test('a result that fits its samples and no others is warned of', async (t) => {
  const warned = async (samples: number) => {
    const { warnings, evaluation, verification } = await pruneGraph(at('mlp.onnx'), {
      ...{ output: join(folderOf(t), 'small.onnx'), sparsity: 0.4 },
      calibrationFeeds: [...partsOf('mlp', samples)],
      evalFeeds: [...partsOf('mlp', 48)],
    });
    return { warnings, times: evaluation!.loss / verification.actual };
  };
  const few = await warned(3);
  t.true(few.times > 4, `${few.times}`);
  t.regex(
    few.warnings.join(),
    /nothing on the 3 samples that calibrated and 0\.0\d+ on others: more samples/,
  );
  const many = await warned(48);
  t.true(Math.abs(many.times - 1) < 1e-3);
  t.deepEqual(many.warnings, []);
});

test('what does not fit the inputs is refused before work, and nothing is left', async (t) => {
  const scratch = folderOf(t);
  const run = (calibrationFeeds: unknown, more: object = {}) =>
    pruneGraph(at('mlp.onnx'), {
      ...{ output: join(scratch, 'small.onnx'), sparsity: 0.3, scratch, ...more },
      calibrationFeeds: calibrationFeeds as FeedSource,
    });
  const x = (data: unknown, dims: unknown) => [{ x: { data, dims } }];
  const rows: [unknown, RegExp][] = [
    [7, /option calibrationFeeds is number, and not an iterable/],
    [[], /gives nothing/],
    [[{}], /gives no \{ data, dims \} for x/],
    [x([1], [1, 6]), /gives no \{ data, dims \} for x/],
    [x(new Float64Array(6), [1, 6]), /gives a Float64Array for x, which takes a Float32Array/],
    [x(new Float32Array(5), [1, 6]), /gives 5 elements of x for \[1, 6\]/],
    [x(new Float32Array(5), [1, 5]), /x in calibrationFeeds is \[1, 5\]/],
    [
      [...x(new Float32Array(6), [1, 6]), ...x(new Float32Array(6), [2, 3])],
      /gives \[2, 3\] for x behind \[samples, 6\]/,
    ],
  ];
  for (const [feeds, message] of rows) {
    await t.throwsAsync(run(feeds), { code: 'ERR_ARGUMENT', message }, String(message));
  }
  await t.throwsAsync(run(x(new Float32Array(6).fill(Number.NaN), [1, 6])), { code: 'ERR_NAN' });
  await t.throwsAsync(run([], { calibration: 'a' }), { message: /both say what the samples are/ });
  const own = new Error('a disk of theirs');
  const failing = (async function* (): AsyncGenerator<Feeds> {
    yield* partsOf('mlp', 1);
    throw own;
  })();
  t.is(await t.throwsAsync(run(failing)), own);
  t.deepEqual(readdirSync(scratch), []);
});

test('a loss of the caller’s prices, checks and measures', async (t) => {
  const folder = folderOf(t);
  const calibration = at('residual.inputs.safetensors');
  const run = (output: string, more: object) =>
    pruneGraph(at('residual.onnx'), {
      ...{ output: join(folder, output), sparsity: 0.3, threads: 1, calibration, ...more },
      ...{ eval: calibration, force: true },
    });
  const square = (data: ArrayLike<number | bigint>) =>
    Array.from(data, Number).reduce((sum, value) => sum + value ** 2, 0);
  let calls = 0;
  const ownLoss = {
    name: 'squares of logits',
    loss: (dense: Outputs, pruned: Outputs) => {
      calls++;
      const [a, b] = [dense.logits!.data as Float32Array, pruned.logits!.data as Float32Array];
      return square(a.map((value, i) => b[i]! - value)) / square(a);
    },
  };
  const result = await run('own.onnx', { ownLoss });
  t.deepEqual(result.losses, [{ output: 'logits', kind: 'own' }]);
  t.true(calls > 10 && result.evaluation!.loss > 0);
  t.true(Math.abs(result.evaluation!.loss - result.verification.actual) < 1e-6);
  t.not(result.evaluation!.loss, (await run('kl.onnx', {})).evaluation!.loss);
  const own = new Error('no loss today');
  const failing = () => {
    throw own;
  };
  t.is(await t.throwsAsync(run('own.onnx', { ownLoss: { loss: failing } })), own);
  await t.throwsAsync(run('own.onnx', { ownLoss: { loss: 3 } }), { message: /function loss/ });
  const nameless = { ownLoss: { loss: ownLoss.loss }, resume: true };
  await t.throwsAsync(run('own.onnx', nameless), { message: /needs a name for the own loss/ });
});
