/** The whole program with its sites on a GPU: a fake driver before the emulated CUDA library. STRUPRUNE_LONG=1: more rows. */
import { symlink } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import type { PruneResult } from '../../lib/pruning/result';
import { EVALUATION, quickPrune, run, scratch, TINY } from '../cli/run';
import { safetensorsRows } from '../e2e/files';
import { workspace } from '../e2e/models';
import { long } from '../long';
import { emulatedLibrary } from './emulation';
import { fakeDriver } from './fake-driver';

const library = emulatedLibrary();
const work = workspace();
test.after.always(() => work.remove());

test('eval: the perplexity of the CPU', async (t) => {
  const env = { ...(await fakeDriver(t, {})), ...library };
  const args = ['eval', TINY, '--text', EVALUATION, '--window', '128', '--max-tokens', '256'];
  const quick = [...args, '--no-gemm-share', '--json', '--device'];
  const [gpu, cpu, full] = await Promise.all([
    run([...quick, 'cuda:0'], { env }),
    run([...quick, 'cpu'], { env }),
    run([...quick, 'cuda:0', '--full-precision'], { env }),
  ]);
  t.is(gpu.code, 0, gpu.stderr);
  t.regex(
    gpu.stderr,
    /^on cuda:0: emulated GPU, .*libstruprune_emulated\.so 130000, .*\.so 12000$/m,
  );
  t.notRegex(gpu.stderr, /slow/);
  const [got, wanted, exact] = [gpu, cpu, full].map(
    ({ stdout }) => JSON.parse(stdout).meanNll as number,
  );
  t.not(got, wanted, 'it was computed elsewhere');
  t.true(Math.abs(got! - wanted!) < 1e-4 * wanted!, `${got} and ${wanted}`);
  // Two parts of bf16 are not in the way there.
  t.not(exact, got);
  t.true(Math.abs(exact! - wanted!) < 1e-6 * wanted!, `${exact} and ${wanted}`);
});

test('without cuBLAS: it says what it is slow for, and what would mend that', async (t) => {
  const { STRUPRUNE_CUDA_LIBRARY } = library;
  const env = { ...(await fakeDriver(t, {})), STRUPRUNE_CUDA_LIBRARY };
  // A plan, since the emulation takes long for the built-in products.
  const [, ...args] = quickPrune(`${await scratch(t)}/out`, '--device', 'cuda:0');
  const { code, stderr } = await run(['plan', ...args], { env });
  t.is(code, 0, stderr);
  t.regex(stderr, /^on cuda:0: emulated GPU, built-in products$/m);
  t.regex(stderr, /^cuBLAS is not used, so the GPU is slow: .*STRUPRUNE_CUBLAS$/m);
});

test('a cuBLAS that makes no product on this GPU is done without, and the reason said', async (t) => {
  const driver = await fakeDriver(t, {});
  const { STRUPRUNE_CUDA_LIBRARY } = library;
  // Beside the fake driver, where the loader looks for the usual name.
  await symlink(STRUPRUNE_CUDA_LIBRARY!, join(driver.LD_LIBRARY_PATH!, 'libcublas.so.13'));
  const env = { ...driver, STRUPRUNE_CUDA_LIBRARY, STRUPRUNE_EMULATED_GEMM_STATUS: '15' };
  const [, ...args] = quickPrune(`${await scratch(t)}/out`, '--device', 'cuda:0');
  const { code, stderr } = await run(['plan', ...args], { env });
  t.is(code, 0, stderr);
  t.regex(stderr, /built-in products \(cublasGemmEx failed with status 15\)$/m);
  t.regex(stderr, /^cuBLAS is not used, so the GPU is slow/m);
});

test('a GPU that gives no memory: auto goes on with the CPU and says so, a named one fails', async (t) => {
  const driver = await fakeDriver(t, {});
  const env = { ...driver, ...library, STRUPRUNE_EMULATED_CUBLAS_STATUS: '1' };
  const [, ...args] = quickPrune(`${await scratch(t)}/out`);
  const auto = await run(['plan', ...args], { env });
  t.is(auto.code, 0, auto.stderr);
  t.regex(auto.stderr, /^on the CPU: cuda:0: the GPU has no memory left .*; for a GPU, lower/m);
  const named = await run(['plan', ...args, '--device', 'cuda:0'], { env });
  t.is(named.code, 6, named.stderr);
});

// Sums in another order may turn what costs the same but for a rounding error: of 512 channels a block, one or two.
test('prune: the masks of the CPU but for ties, and its perplexity', async (t) => {
  const env = { ...(await fakeDriver(t, {})), ...library };
  const folder = await scratch(t);
  const evaluation = ['--eval', EVALUATION, '--eval-tokens', '512'];
  const uniform = ['--allocation', 'uniform'];
  // A refit moves the rows of the gate by which channels are known below.
  const output = ['--ffn-solver', 'output'];
  const more = [...evaluation, ...uniform, ...output, '--json'];
  const prune = (device: string) =>
    run(quickPrune(`${folder}/${device}`, ...more, '--device', device), { env });
  const [gpu, cpu] = await Promise.all([prune('auto'), prune('cpu')]);
  t.is(gpu.code, 0, gpu.stderr);
  t.regex(gpu.stderr, /^on cuda:0: /m);
  const [got, wanted]: PruneResult[] = [gpu, cpu].map(({ stdout }) => JSON.parse(stdout));
  t.not(got!.perplexityAfter, wanted!.perplexityAfter, 'it was computed elsewhere');
  const change = got!.perplexityAfter! / wanted!.perplexityAfter! - 1;
  t.true(Math.abs(change) < 0.005, String(change));
  for (const { index, ffnAfter } of wanted!.layers) {
    // A channel is known by its row of the gate, which no refit touches.
    const name = `model.layers.${index}.mlp.gate_proj.weight`;
    const [here, there] = ['auto', 'cpu'].map((device) =>
      safetensorsRows(`${folder}/${device}`, name),
    );
    t.is(here!.length, ffnAfter);
    const shared = new Set(there!.filter((row) => here!.includes(row)));
    t.true(shared.size >= ffnAfter - 2, `block ${index}: ${shared.size} of ${ffnAfter}`);
  }
});

// A search that rounds its operands finds other weights, the more so on as few tokens as here.
for (const { flags, most } of [
  { flags: [], most: 0.05 },
  ...long([{ flags: ['--full-precision'], most: 0.01 }]),
]) {
  test(`prune with a refit of gate and up: the errors of the CPU, and its perplexity ${flags}`, async (t) => {
    const env = { ...(await fakeDriver(t, {})), ...library };
    const folder = await scratch(t);
    const evaluation = ['--eval', EVALUATION, '--eval-tokens', '512'];
    const more = [...evaluation, '--calibration-tokens', '2048', '--window', '64'];
    const model = work.model('llama2');
    const prune = (device: string) => {
      const on = ['--allocation', 'uniform', '--json', '--device', device, ...flags];
      const args = quickPrune(`${folder}/${device}`, ...more, ...on);
      return run(
        args.map((word) => (word === TINY ? model : word)),
        { env },
      );
    };
    const [gpu, cpu] = await Promise.all([prune('cuda:0'), prune('cpu')]);
    t.is(gpu.code, 0, gpu.stderr);
    const [got, wanted]: PruneResult[] = [gpu, cpu].map(({ stdout }) => JSON.parse(stdout));
    const change = got!.perplexityAfter! / wanted!.perplexityAfter! - 1;
    t.true(Math.abs(change) < 0.005, String(change));
    wanted!.layerStats.forEach(({ index, relativeError, inputRefit }, at) => {
      const here = got!.layerStats[at]!;
      t.is(inputRefit!.rounds, 2);
      t.is(here.inputRefit!.rounds, 2);
      const ratio = here.relativeError! / relativeError!;
      t.true(Math.abs(ratio - 1) < most, `block ${index}: ${ratio}`);
      t.true(here.relativeError! < here.inputRefit!.before);
    });
  });
}

test('a GPU budget that cannot hold a block: exit code 6, before any output', async (t) => {
  const env = { ...(await fakeDriver(t, {})), ...library };
  const output = `${await scratch(t)}/small`;
  const args = quickPrune(output, '--device', 'cuda:0', '--device-memory', '256KiB');
  const { code, stderr } = await run(args, { env });
  t.is(code, 6, stderr);
  t.regex(stderr, /^error: one block needs .*--device-memory.* \[ERR_BUDGET\]\n$/m);
});

for (const [model, what] of [
  ['gemma3-unlike', 'outputs with norms'],
  ['gpt2', 'maps that the file has transposed'],
  ['gpt-neox', 'attention and FFN side by side'],
  ...long([
    ['gemma2-unlike', 'soft caps'],
    ['phi3', 'rope of a part of a head'],
  ]),
] as [string, string][]) {
  test(`eval of ${model}, ${what}: the perplexity of the CPU`, async (t) => {
    const env = { ...(await fakeDriver(t, {})), ...library };
    const args = ['eval', work.model(model), '--text', EVALUATION, '--window', '48'];
    const quick = [...args, '--max-tokens', '96', '--no-gemm-share', '--json', '--full-precision'];
    const runs = ['cuda:0', 'cpu'].map((device) => run([...quick, '--device', device], { env }));
    const [got, wanted] = (await Promise.all(runs)).map(
      ({ stdout }) => JSON.parse(stdout).meanNll as number,
    );
    t.not(got, wanted, 'it was computed elsewhere');
    t.true(Math.abs(got! - wanted!) < 1e-5 * wanted!, `${got} and ${wanted}`);
  });
}
