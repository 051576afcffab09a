/** A libcuda.so.1 of a few lines, so that every state of a driver can be had without one. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';

export interface FakeGpu {
  name: string;
  major: number;
  minor: number;
  totalMiB: number;
  freeMiB: number;
}

export interface FakeDriver {
  /** As cuDriverGetVersion says it. */
  version?: number;
  /** Results of calls; 0 = success. */
  init?: number;
  context?: number;
  gpus?: readonly FakeGpu[];
  /** A driver that takes the process with it. */
  crashes?: boolean;
  /** Writes to stdout. */
  chatty?: boolean;
  /** One from before a symbol that is needed. */
  lacks?: string;
}

export const H100: FakeGpu = {
  name: 'Fake H100',
  major: 9,
  minor: 0,
  totalMiB: 80_000,
  freeMiB: 70_000,
};

function sourceOf({ version = 13000, init = 0, context = 0, gpus = [H100], ...rest }: FakeDriver) {
  const rows = gpus.map(
    ({ name, major, minor, totalMiB, freeMiB }) =>
      `{"${name}", ${major}, ${minor}, ${totalMiB}ull << 20, ${freeMiB}ull << 20}`,
  );
  const calls: Record<string, string> = {
    cuInit: `(unsigned f) { ${rest.chatty ? 'puts("hello");' : ''} ${rest.crashes ? 'abort();' : ''} return ${init}; }`,
    cuDriverGetVersion: `(int *v) { *v = ${version}; return 0; }`,
    cuDeviceGetCount: `(int *n) { *n = ${gpus.length}; return 0; }`,
    cuDeviceGet: '(int *d, int i) { *d = i; return 0; }',
    cuDeviceGetName: '(char *to, int n, int d) { strncpy(to, gpus[d].name, n); return 0; }',
    cuDeviceGetAttribute:
      '(int *v, int a, int d) { *v = a == 75 ? gpus[d].major : gpus[d].minor; return 0; }',
    cuDeviceTotalMem_v2: '(size_t *n, int d) { *n = gpus[d].total; return 0; }',
    cuDevicePrimaryCtxRetain: `(void **c, int d) { current = d; *c = gpus; return ${context}; }`,
    cuDevicePrimaryCtxRelease_v2: '(int d) { return 0; }',
    cuCtxSetCurrent: '(void *c) { return 0; }',
    cuMemGetInfo_v2:
      '(size_t *f, size_t *t) { *f = gpus[current].free; *t = gpus[current].total; return 0; }',
  };
  const kept = Object.entries(calls).filter(([name]) => name !== rest.lacks);
  return `#include <stdio.h>
#include <stdlib.h>
#include <string.h>
struct gpu { const char *name; int major, minor; size_t total, free; };
static struct gpu gpus[] = {${rows.join(', ') || '{0}'}};
static int current;
${kept.map(([name, body]) => `int ${name}${body}`).join('\n')}
`;
}

/** Environment of a process that finds this driver; the folder goes with the test. */
export async function fakeDriver(
  t: ExecutionContext,
  driver: FakeDriver,
): Promise<NodeJS.ProcessEnv> {
  const folder = await mkdtemp(join(tmpdir(), 'struprune-driver-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const source = join(folder, 'libcuda.c');
  await writeFile(source, sourceOf(driver));
  const library = join(folder, 'libcuda.so.1');
  execFileSync('cc', ['-shared', '-fPIC', '-w', '-o', library, source]);
  return { LD_LIBRARY_PATH: folder };
}
