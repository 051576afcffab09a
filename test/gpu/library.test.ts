/** What the built files need: the addon nothing of CUDA, the CUDA library no library of CUDA; the self-test as a GPU machine would have it. */
import { execFile, execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import test from 'ava';
import { emulatedLibrary } from './emulation';
import { fakeDriver } from './fake-driver';

const RELEASE = resolve(__dirname, '../../build/Release');
const output = (command: string, ...args: string[]) =>
  execFileSync(command, args, { encoding: 'utf8' });

test('the addon needs no library and no symbol of CUDA', (t) => {
  const addon = join(RELEASE, 'struprune.node');
  const needed = output('readelf', '-d', addon).match(/NEEDED.*/g) ?? [];
  t.true(needed.length > 0);
  for (const line of needed) t.notRegex(line, /cuda|cublas|cusolver|nvidia/i);
  t.notRegex(output('nm', '-D', '--undefined-only', addon), /\b(cu[A-Z]|cuda|cublas|cusolver)\w*/);
});

const library = join(RELEASE, 'struprune_cuda.so');
/** .ci/run builds it before the tests; elsewhere it may be absent. */
const built = existsSync(library) ? test : test.skip;

built(
  'the CUDA library has the code that it says it has, in each of its files, and PTX of the newest',
  (t) => {
    const { cuobjdump, targetsOf } = require('../../scripts/lib/cuda.js') as {
      cuobjdump(): string;
      targetsOf(library: string): { code: string[]; ptx: string };
    };
    const { code, ptx } = targetsOf(library);
    t.is(ptx, code.at(-1)!);
    const listing = output(cuobjdump(), '--list-elf', '--list-ptx', library);
    const files = new Map<string, number>();
    for (const [, target] of listing.matchAll(/\.(sm_\d+\.(?:cubin|ptx))$/gm)) {
      files.set(target!, (files.get(target!) ?? 0) + 1);
    }
    const expected = [...code.map((target) => `sm_${target}.cubin`), `sm_${ptx}.ptx`];
    t.deepEqual([...files.keys()].sort(), expected.sort());
    const sources = readdirSync(resolve(__dirname, '../../native/cuda'));
    const kernels = sources.filter((name) => /\.cu$/.test(name)).length;
    for (const [target, count] of files) t.true(count > 0 && count <= kernels, target);
    t.is(new Set(files.values()).size, 1, 'every file is there for every target');
  },
);

built('the CUDA library gives one symbol and brings the runtime along', (t) => {
  const defined = output('nm', '-D', '--defined-only', library).trim().split('\n');
  const names = defined.map((line) => line.split(' ').pop()!);
  t.deepEqual(
    names.filter((name) => !name.startsWith('_Z')),
    ['struprune_cuda_api'],
  );
  t.notRegex(output('readelf', '-d', library), /NEEDED.*(cuda|cublas|cusolver|stdc\+\+)/);
});

/** All of its tests are the native ones of GPUs, which run over the emulation there. */
const FEW = '--gtest_filter=*GpuRows*:*GpuProducts*';

/** In a folder of its own, without Node, over the emulation in the CUDA library's place. */
built('the self-test measures and tests as it would on a GPU', async (t) => {
  const { STRUPRUNE_CUDA_LIBRARY: emulated, ...libraries } = emulatedLibrary();
  // A test of a GPU has 256 MiB of it.
  delete libraries.STRUPRUNE_EMULATED_MEMORY;
  const folder = await mkdtemp(join(tmpdir(), 'struprune-selftest-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  for (const name of readdirSync(RELEASE).filter((name) => /^lib|selftest/.test(name))) {
    copyFileSync(join(RELEASE, name), join(folder, name));
  }
  symlinkSync(emulated!, join(folder, 'struprune_cuda.so'));
  const run = (env: NodeJS.ProcessEnv) =>
    new Promise<{ code: number; text: string }>((done) => {
      execFile(
        join(folder, 'struprune_selftest'),
        ['--small', FEW],
        { env: { ...process.env, ...env }, maxBuffer: 2 ** 24 },
        (error, stdout, stderr) => done({ code: Number(error?.code ?? 0), text: stdout + stderr }),
      );
    });
  const driver = await fakeDriver(t, {});
  const { code, text } = await run({ ...driver, ...libraries });
  t.is(code, 0, text);
  t.regex(text, /^\d{2,} passed, 0 failed$/m);
  t.regex(text, /Gram\/product \d+\.\d\d in useful flops, \d+\.\d\d in time \(asked: 0\.70\)/);
  t.regex(text, /^memory, a small block: peak [\d.]+ MiB of a budget of 4\.0 MiB$/m);
  for (const part of ['attention', 'ffn', 'gradient', 'product', 'hidden', 'head']) {
    t.regex(text, new RegExp(`^  ${part}\\b.*: \\d+\\.\\d\\d s in [1-9]`, 'm'));
  }
  // A driver without a GPU: it says so, and that nothing was tested.
  const { code: none, text: why } = await run(await fakeDriver(t, { gpus: [] }));
  t.is(none, 3);
  t.regex(why, /^no test was run: the driver finds no GPU /m);
});
