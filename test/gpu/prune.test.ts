/** The whole program with its sites on a GPU: a fake driver before the emulated CUDA library. */
import test from 'ava';
import { EVALUATION, quickPrune, run, scratch, TINY } from '../cli/run';
import { emulatedLibrary } from './emulation';
import { fakeDriver } from './fake-driver';

const library = emulatedLibrary();

test('eval: the perplexity of the CPU', async (t) => {
  const env = { ...(await fakeDriver(t, {})), ...library };
  const args = ['eval', TINY, '--text', EVALUATION, '--window', '128', '--max-tokens', '256'];
  const quick = [...args, '--no-gemm-share', '--json', '--device'];
  const [gpu, cpu] = await Promise.all([
    run([...quick, 'cuda:0'], { env }),
    run([...quick, 'cpu'], { env }),
  ]);
  t.is(gpu.code, 0, gpu.stderr);
  t.regex(gpu.stderr, /^on cuda:0: emulated GPU, .*libstruprune_emulated/m);
  const [got, wanted] = [gpu, cpu].map(({ stdout }) => JSON.parse(stdout).meanNll as number);
  t.not(got, wanted, 'it was computed elsewhere');
  t.true(Math.abs(got! - wanted!) < 1e-4 * wanted!, `${got} and ${wanted}`);
});

test('prune: the masks of the CPU', async (t) => {
  const env = { ...(await fakeDriver(t, {})), ...library };
  const folder = await scratch(t);
  const prune = (device: string) =>
    run(
      quickPrune(`${folder}/${device}`, '--allocation', 'uniform', '--json', '--device', device),
      {
        env,
      },
    );
  const [gpu, cpu] = await Promise.all([prune('auto'), prune('cpu')]);
  t.is(gpu.code, 0, gpu.stderr);
  t.regex(gpu.stderr, /^on cuda:0: /m);
  t.deepEqual(JSON.parse(gpu.stdout).layers, JSON.parse(cpu.stdout).layers);
});

test('a GPU budget that cannot hold a block: exit code 6, before any output', async (t) => {
  const env = { ...(await fakeDriver(t, {})), ...library };
  const output = `${await scratch(t)}/small`;
  const args = quickPrune(output, '--device', 'cuda:0', '--device-memory', '256KiB');
  const { code, stderr } = await run(args, { env });
  t.is(code, 6, stderr);
  t.regex(stderr, /^error: one block needs .*--device-memory.* \[ERR_BUDGET\]\n$/m);
});
