import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import test from 'ava';
import { gramFlops, refitFlops, sweepFlops } from '../../lib/bench/flops';
import { benchKernels, placed } from '../../lib/bench/kernels/run';
import { writeBench } from '../../lib/bench/output';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { benchSchema } from '../../lib/documents/bench';
import { Engine } from '../../lib/engine/engine';
import { native } from '../../lib/engine/native';
import { timeGpuKernels } from '../../lib/engine/roofs';
import { blockSpec } from '../../lib/engine/session';
import { StruPruneError } from '../../lib/errors';
import { emulatedLibrary } from '../gpu/emulation';
import { fakeDriver } from '../gpu/fake-driver';

const TINY = join(__dirname, '../../assets/tiny');

test('an operation is placed under the roof that it meets first', (t) => {
  const gemmRates = [
    { dtype: 'f32', gflops: 100 },
    { dtype: 'f64', gflops: 50 },
  ];
  const roofs = { device: 'x', gemmRates, bandwidth: 10 };
  const timing = { op: 'x', shape: '', dtype: 'f32', repeats: 3 };
  const wide = placed({ ...timing, flops: 200e9, bytes: 1e9, seconds: 4 }, roofs);
  t.is(wide.bound, 'compute');
  t.deepEqual([wide.gflops, wide.attainable, wide.share, wide.intensity], [50, 100, 0.5, 200]);
  const narrow = placed({ ...timing, flops: 1e9, bytes: 1e9, seconds: 0.2 }, roofs);
  t.is(narrow.bound, 'memory');
  t.deepEqual([narrow.gflops, narrow.attainable, narrow.share], [5, 10, 0.5]);
  const double = placed({ ...timing, dtype: 'f64', flops: 200e9, bytes: 1e9, seconds: 4 }, roofs);
  t.is(double.share, 1);
  const copy = placed({ ...timing, flops: 0, bytes: 1e9, seconds: 0.1 }, roofs);
  t.deepEqual([copy.gflops, copy.share, copy.bound], [0, 1, 'memory']);
});

test('flops of the solvers against sums over their steps', (t) => {
  // One column of one: its inverse is the only number.
  t.is(gramFlops(7, 3), 63);
  t.is(refitFlops(4, 3), 9 + 72);
  // Removing nothing leaves the inverses and products; each removal adds 3 (n - i)², in the limit.
  const [m, n] = [5, 400];
  const downdates = sweepFlops(m, n, n) - sweepFlops(m, n, 0);
  let sum = 0;
  for (let left = n; left > 0; left--) sum += 3 * left ** 2;
  t.true(Math.abs(downdates / sum - 1) < 0.01);
});

test.serial(
  "the tiny model's operations: all there, and their flops are the block's",
  async (t) => {
    const document = await benchKernels(TINY, {
      tokens: 512,
      window: 256,
      seconds: 0.001,
      device: 'cpu',
    });
    const { kernels } = benchSchema.parse(document);
    const rows = kernels!.rows;
    t.true(rows.every(({ seconds, repeats, share }) => seconds > 0 && repeats >= 3 && share > 0));
    const flopsOf = (pattern: RegExp) =>
      rows.filter(({ op }) => pattern.test(op)).reduce((sum, { flops }) => sum + flops, 0);
    const { architecture } = await openCheckpoint(TINY);
    const block = native.blockFlops(blockSpec(architecture, 0), 512, 256);
    t.true(Math.abs(flopsOf(/^(linear .*|attention)$/) / block - 1) < 0.01);
    t.is(flopsOf(/^head/), 2 * 512 * architecture.hidden * architecture.vocab);
    for (const op of [
      'gate, up, activation',
      'attention gradient',
      'rope q',
      'norm',
      'gated activation',
      'gram',
      'cholesky',
      'sweep',
      'refit',
      'Gauss-Newton: gradient',
      'Gauss-Newton: direction',
      'Gauss-Newton: hidden activations',
    ]) {
      t.true(
        rows.some((row) => row.op === op),
        op,
      );
    }
    // Reading a block only moves bytes: it has no place on the chart, but in the tables.
    const folder = mkdtempSync(join(tmpdir(), 'struprune-kernels-'));
    t.teardown(() => rmSync(folder, { recursive: true, force: true }));
    const files = await writeBench(folder, 'kernels', document);
    t.deepEqual(
      files.map((path) => basename(path)),
      ['kernels.json', 'kernels.csv', 'kernels.html'],
    );
    for (const path of files) t.true(readFileSync(path, 'utf8').includes('load block (F16)'), path);
    const { sgemmRate, dgemmRate, bandwidth } = document.machine;
    t.true(sgemmRate! > 1 && dgemmRate! > 0.5 && bandwidth! > 0.1);
  },
);

test.serial('a GPU is measured beside the CPU, under its own roofs', async (t) => {
  Object.assign(process.env, await fakeDriver(t, {}), emulatedLibrary());
  const options = { tokens: 64, window: 32, seconds: 0.001, device: 'cuda:0' };
  const small = { ...options, deviceMemory: 24 * 2 ** 20 };
  const { kernels, command } = benchSchema.parse(await benchKernels(TINY, small));
  t.regex(command, /--device cuda:0 --device-memory 25165824/);
  const [cpu, gpu] = kernels!.roofs;
  t.is(cpu!.device, 'cpu');
  t.regex(gpu!.device, /^emulated GPU/);
  t.deepEqual(
    gpu!.gemmRates.map(({ dtype }) => dtype),
    ['f32', 'tf32', 'bf16x3', 'bf16', 'f64'],
  );
  const rows = kernels!.rows.filter(({ device }) => device === gpu!.device);
  t.true(rows.every(({ seconds, repeats, share }) => seconds > 0 && repeats >= 3 && share > 0));
  // Operands are rounded as a run's are.
  t.is(rows.find(({ op }) => op === 'linear ffn.up')!.dtype, 'bf16x3');
  const flops = (pattern: RegExp) =>
    rows.filter(({ op }) => pattern.test(op)).reduce((sum, row) => sum + row.flops, 0);
  const { architecture } = await openCheckpoint(TINY);
  const block = native.blockFlops(blockSpec(architecture, 0), 64, 32);
  t.true(Math.abs(flops(/^(linear .*|attention)$/) / block - 1) < 0.01);
  for (const op of [
    'gram',
    'cross products',
    'activation and slopes',
    'product of cells',
    'cholesky',
  ]) {
    t.true(
      rows.some((row) => row.op === op),
      op,
    );
  }
  const tooSmall = { ...options, deviceMemory: 2 ** 19 };
  await t.throwsAsync(benchKernels(TINY, tooSmall), { code: 'ERR_BUDGET' });
  // A GPU that nobody named may be too small.
  const notices: string[] = [];
  const onNotice = (text: string) => notices.push(text);
  const auto = await benchKernels(TINY, { ...tooSmall, device: 'auto', onNotice });
  t.is(auto.kernels!.roofs.length, 1);
  t.regex(notices.join(), /the GPU is not measured: .*raise/);
});

test.serial(
  'a GPU without cuBLAS, and a block of fewer channels than its states have',
  async (t) => {
    const { STRUPRUNE_CUDA_LIBRARY } = emulatedLibrary();
    const set = { ...(await fakeDriver(t, {})), STRUPRUNE_CUDA_LIBRARY, STRUPRUNE_CUDA_CHECK: '1' };
    Object.assign(process.env, set);
    delete process.env.STRUPRUNE_CUBLAS;
    delete process.env.STRUPRUNE_CUSOLVER;
    t.teardown(() => delete process.env.STRUPRUNE_CUDA_CHECK);
    const source = await openCheckpoint(TINY);
    const engine = new Engine({ device: 'cuda:0', deviceMemory: 24 * 2 ** 20 });
    const spec = { ...blockSpec(source.architecture, 0), ffn: 24 };
    const run = { tokens: 32, window: 32, seconds: 0.001 };
    const { gemmRates, timings } = await engine.run(undefined, () =>
      timeGpuKernels(engine, spec, { width: 1, vocab: 0 }, run),
    );
    await engine.dispose();
    t.deepEqual(
      gemmRates.map(({ dtype }) => dtype),
      ['f32', 'f64'],
    );
    t.true(timings.every(({ dtype }) => dtype === 'f32' || dtype === 'f64'));
  },
);

test('a window longer than the model reads is refused', async (t) => {
  await t.throwsAsync(benchKernels(TINY, { window: 1 << 20 }), { instanceOf: StruPruneError });
});
