/** Choosing a device: what each state of a driver makes of auto and of cuda:N. STRUPRUNE_LONG=1: both by the program in every state. */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { probeGpus } from '../../lib/engine/gpu';
import { EVALUATION, run, scratch, TINY } from '../cli/run';
import { isLong } from '../long';
import { type FakeDriver, fakeDriver, H100 } from './fake-driver';

const ARGS = ['eval', TINY, '--text', EVALUATION, '--window', '64', '--max-tokens', '128'];
const QUICK = [...ARGS, '--no-gemm-share'];
/** No library is there, whatever was built in this checkout. */
const NOT_BUILT = { STRUPRUNE_CUDA_LIBRARY: '/nowhere/struprune_cuda.so' };

const OLD = { ...H100, name: 'Fake V100', major: 7 };
const FULL = { ...H100, name: 'Full GPU', freeMiB: 100 };

const STATES: [what: string, driver: FakeDriver, found: RegExp, mend: RegExp][] = [
  [
    'an old driver',
    { version: 12040 },
    /too old: it knows CUDA 12\.4, .* needs 13\.0/,
    /580 or newer, or build .* toolkit of CUDA 12 \(CUDACXX=/,
  ],
  ['an older one', { version: 11080 }, /knows CUDA 11\.8, .* needs 13\.0/, /580 or newer, or use/],
  ['a very old driver', { lacks: 'cuMemGetInfo_v2' }, /too old .*cuMemGetInfo_v2/, /580/],
  ['no GPU', { init: 100 }, /finds no GPU/, /make the GPU visible/],
  ['no GPU in the list', { gpus: [] }, /finds no GPU/, /make the GPU visible/],
  ['a fabric without its manager', { init: 802 }, /fabric .* not ready/, /nvidia-fabricmanager/],
  ['a half-updated driver', { init: 803 }, /of different versions/, /restart/],
  ['a driver that fails', { init: 999 }, /CUDA error 999/, /nvidia-smi/],
  ['an old GPU', { gpus: [OLD] }, /Fake V100: .*capability is 7\.0/, /another GPU/],
  ['a full GPU', { gpus: [FULL] }, /Full GPU: no memory is left .*100 MiB free/, /nvidia-smi/],
  ['no memory for a context', { context: 2 }, /no memory is left/, /nvidia-smi/],
  ['a context that fails', { context: 46 }, /making a context failed .* 46/, /nvidia-smi/],
  ['a driver that crashes', { crashes: true }, /probe ended by SIGABRT/, /nvidia-smi/],
  ['no library', {}, /Fake H100: the CUDA library is not built/, /npm run build:cuda/],
];
/** What the probe says, in a process that inherits these: for serial tests. */
async function probeUnder(t: ExecutionContext, ...variables: NodeJS.ProcessEnv[]) {
  const before = { ...process.env };
  t.teardown(() => {
    process.env = before;
  });
  Object.assign(process.env, ...variables);
  return probeGpus();
}

for (const [what, driver, found, mend] of STATES) {
  test.serial(`${what}: what the probe finds, and the mend`, async (t) => {
    const { unusable, gpus } = await probeUnder(t, await fakeDriver(t, driver), NOT_BUILT);
    const reason = unusable ?? gpus[0]!.unusable!;
    t.regex(`${gpus[0]?.name}: ${reason.found}`, found);
    // As the program goes on: or use --device cpu.
    t.regex(`${reason.mend}, or use`, mend);
  });
}

/** One of each place that finds a reason: the probe, the list of GPUs, the library. */
const SOME = ['no GPU', 'an old GPU', 'no library', 'a driver that crashes'];
const SHOWN = STATES.filter(([what]) => isLong || SOME.includes(what));
for (const [what, driver, found, mend] of SHOWN) {
  test(`${what}: cuda:0 is refused in one line`, async (t) => {
    const env = { ...(await fakeDriver(t, driver)), ...NOT_BUILT };
    const named = await run([...QUICK, '--device', 'cuda:0'], { env });
    t.is(named.code, 8, named.stderr);
    t.is(named.stdout, '');
    t.regex(named.stderr, /^error: cuda:0 cannot be used: .*; .*--device cpu.* \[ERR_DEVICE\]\n$/);
    t.regex(named.stderr, found);
    t.regex(named.stderr, mend);
  });
}

for (const [what, driver, found] of SHOWN) {
  test(`${what}: auto says so and goes on`, async (t) => {
    const env = { ...(await fakeDriver(t, driver)), ...NOT_BUILT };
    const auto = await run(QUICK, { env });
    t.is(auto.code, 0, auto.stderr);
    const [first] = auto.stderr.split('\n');
    t.regex(first!, /^on the CPU: .*; for a GPU, /);
    t.notRegex(first!, /--device cpu/);
    t.regex(first!, found);
    t.regex(auto.stdout, /^perplexity/);
  });
}

test('what a driver or a preloaded module writes is not taken for the answer', async (t) => {
  const folder = await scratch(t);
  const preload = join(folder, 'preload.js');
  await writeFile(preload, "if (process.argv[1].endsWith('.node')) console.log('a banner');");
  const driver = await fakeDriver(t, { chatty: true });
  const env = { ...driver, ...NOT_BUILT, NODE_OPTIONS: `--require ${preload}` };
  const { code, stdout } = await run(['devices', '--json'], { env });
  t.is(code, 0);
  t.is(JSON.parse(stdout).cuda.gpus[0].name, 'Fake H100');
});

test('a GPU that is not there', async (t) => {
  const env = { ...(await fakeDriver(t, {})), ...NOT_BUILT };
  const { code, stderr } = await run([...QUICK, '--device', 'cuda:7'], { env });
  t.is(code, 8, stderr);
  t.regex(stderr, /^error: cuda:7 cannot be used: the driver has one GPU; .* \[ERR_DEVICE\]\n$/);
});

test('a library of another version, and one that is none', async (t) => {
  const folder = await scratch(t);
  const driver = await fakeDriver(t, {});
  const source = join(folder, 'old.c');
  await writeFile(source, 'static int old[2]; int *struprune_cuda_api(void) { return old; }');
  const library = join(folder, 'struprune_cuda.so');
  await promisify(execFile)('cc', ['-shared', '-fPIC', '-o', library, source]);
  const env = { ...driver, STRUPRUNE_CUDA_LIBRARY: library };
  const other = await run([...QUICK, '--device', 'cuda:0'], { env });
  t.regex(other.stderr, /the CUDA library is of another version.*npm run build:cuda/);
  await writeFile(library, 'no library');
  const broken = await run([...QUICK, '--device', 'cuda:0'], { env });
  t.regex(broken.stderr, /the CUDA library does not load.*npm run build:cuda/);
  t.is(broken.code, 8);
});

/** One that CUDA 12.4 would have made, which has no GPU to find fault with. */
const OF_CUDA_12 = `
#include "cuda/abi.h"
using namespace struprune::cuda;
static Api api;
extern "C" const Api* struprune_cuda_api() {
  api.version = kAbiVersion, api.size = sizeof(Api), api.runtime = 12040, api.targets = "80";
  api.check = [](int32_t, DeviceInfo*, Failure*) { return 0; };
  return &api;
}
`;
test.serial('a library of CUDA 12 needs a driver of CUDA 12', async (t) => {
  const folder = await scratch(t);
  const source = join(folder, 'library.cpp');
  await writeFile(source, OF_CUDA_12);
  const library = join(folder, 'struprune_cuda.so');
  const headers = resolve(__dirname, '../../native');
  const flags = ['-shared', '-fPIC', '-std=c++20', '-I', headers, '-o', library];
  await promisify(execFile)('c++', [...flags, source]);
  const devicesUnder = async (version: number) => {
    const driver = await fakeDriver(t, { version });
    return probeUnder(t, driver, { STRUPRUNE_CUDA_LIBRARY: library });
  };
  for (const version of [12000, 12080, 13000]) {
    const cuda = await devicesUnder(version);
    t.is(cuda.unusable, null);
    t.is(cuda.gpus[0]!.unusable, null);
  }
  const { unusable } = await devicesUnder(11080);
  t.regex(unusable!.found, /knows CUDA 11\.8, the library needs 12\.0/);
  t.regex(unusable!.mend, /^install the NVIDIA driver 525 or newer$/);
});

test('cpu asks no driver', async (t) => {
  const env = await fakeDriver(t, { crashes: true });
  const { code, stderr } = await run([...QUICK, '--device', 'cpu'], { env });
  t.is(code, 0, stderr);
  t.notRegex(stderr, /on the CPU/);
});

test('a name that is none is a usage error', async (t) => {
  const { code, stderr } = await run([...QUICK, '--device', 'gpu']);
  t.is(code, 2);
  t.regex(stderr, /--device <name>.*auto, cpu or cuda:N/);
});

test('devices lists GPUs with reasons, for people and as JSON', async (t) => {
  const env = { ...(await fakeDriver(t, { gpus: [OLD, FULL, H100] })), ...NOT_BUILT };
  const [people, json] = await Promise.all([
    run(['devices'], { env }),
    run(['devices', '--json'], { env }),
  ]);
  t.is(people.code, 0, people.stderr);
  t.regex(people.stdout, /^cuda:0 +Fake V100, capability 7\.0, .*cannot be used: /m);
  t.regex(people.stdout, /^cuda:2 +Fake H100, .*not built/m);
  const { cuda } = JSON.parse(json.stdout);
  t.is(cuda.driver, 13000);
  t.is(cuda.unusable, null);
  t.deepEqual(
    cuda.gpus.map(({ index, freeBytes }: { index: number; freeBytes: number }) => [
      index,
      freeBytes,
    ]),
    [
      [0, null], // too old to be asked
      [1, FULL.freeMiB * 2 ** 20],
      [2, H100.freeMiB * 2 ** 20],
    ],
  );
});

test('devices says what was found for the GPU that was asked for', async (t) => {
  const env = { ...(await fakeDriver(t, { gpus: [OLD, FULL] })), ...NOT_BUILT };
  const devices = (...more: string[]) => run(['devices', '--threads', '1', ...more], { env });
  const there = await devices('--device', 'cuda:1');
  t.regex(there.stdout, /^cuda:1 +Full GPU, .*cannot be used: .*/m);
  t.notRegex(there.stdout, /cuda:0|--device cpu/);
  const not = await devices('--device', 'cuda:3');
  t.is(not.code, 0, not.stderr);
  t.regex(not.stdout, /^cuda:3 +cannot be used: the driver has 2 GPUs; /m);
  const { cuda } = JSON.parse((await devices('--device', 'cuda:3', '--json')).stdout);
  t.regex(cuda.unusable.found, /2 GPUs/);
});

test('the self-test that is not built', async (t) => {
  const { code, stderr } = await run(['devices', '--selftest'], { env: NOT_BUILT });
  t.is(code, 8);
  t.regex(stderr, /^error: the self-test is not built .*npm run build:cuda.* \[ERR_DEVICE\]\n$/);
});
