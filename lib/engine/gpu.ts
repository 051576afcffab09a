/** Which GPU to use: asked in a process of its own, since a broken driver may end the one that loads it. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { StruPruneError } from '../errors';
import { onDisk, packageRoot } from '../package-root';
import type { GpuProbe, Reason } from './native-gpu';

const TIMEOUT_MS = 30_000;

function addonFile(): string {
  return require('node-gyp-build').path(packageRoot());
}

/** The package that carries the CUDA library; nobody gets its 20 MB without asking for it. */
const CUDA_PACKAGE = `struprune-native-cuda-${process.platform}-${process.arch}`;

/** The CUDA library: what STRUPRUNE_CUDA_LIBRARY names, else one built beside the addon, else that of its own package. */
export function cudaLibrary(): string {
  const named = process.env.STRUPRUNE_CUDA_LIBRARY;
  if (named !== undefined) return named;
  const built = join(dirname(addonFile()), 'struprune_cuda.so');
  return existsSync(built) ? built : (packagedLibrary() ?? built);
}

function packagedLibrary(): string | undefined {
  try {
    return onDisk(require.resolve(`${CUDA_PACKAGE}/struprune_cuda.so`));
  } catch {
    return undefined;
  }
}

/** The program that npm run build:cuda puts beside the library. */
export function selftestProgram(): string {
  return join(dirname(cudaLibrary()), 'struprune_selftest');
}

const SCRIPT = `
const [addon, library] = process.argv.slice(1);
process.stdout.write(JSON.stringify(require(addon).probeGpus(library)));
`;

const failed = (found: string): GpuProbe => ({
  driver: 0,
  unusable: { found, mend: 'see what nvidia-smi says' },
  gpus: [],
});

/** What GPUs there are and what keeps them from being used. Never rejects. */
export function probeGpus(): Promise<GpuProbe> {
  const args = ['-e', SCRIPT, addonFile(), cudaLibrary()];
  // In Electron execPath is the application, which this variable turns into Node.
  const env = { ...process.env, ELECTRON_RUN_AS_NODE: '1' };
  return new Promise((resolve) => {
    execFile(process.execPath, args, { env, timeout: TIMEOUT_MS }, (error, stdout) => {
      if (!error) return resolve(JSON.parse(stdout));
      if (error.killed) return resolve(failed('the driver did not answer within half a minute'));
      const end = error.signal ? `by ${error.signal}` : `with exit code ${error.code}`;
      resolve(failed(`the driver's probe ended ${end}`));
    });
  });
}

/** The probe's answer about one GPU alone. @throws StruPruneError ERR_ARGUMENT */
export function onlyAsked(probe: GpuProbe, device: DeviceName = 'auto'): GpuProbe {
  const index = indexOf(device);
  if (index === undefined) return probe;
  const gpus = probe.gpus.filter((gpu) => gpu.index === index);
  const missing = gpus.length === 0 ? choiceAmong(probe, index).reason : null;
  return { ...probe, gpus, unusable: probe.unusable ?? missing };
}

let known: Promise<GpuProbe> | undefined;

/** probeGpus() once for the whole process. */
function probeOnce(): Promise<GpuProbe> {
  known ??= probeGpus();
  return known;
}

/** `auto`, `cpu`, or `cuda:N` with N from 0. */
export type DeviceName = string;

/** The index in `cuda:N`; undefined for auto and cpu. @throws StruPruneError ERR_ARGUMENT */
export function indexOf(device: DeviceName): number | undefined {
  const [, digits] = /^cuda:(\d{1,3})$/.exec(device) ?? [];
  if (digits !== undefined) return Number(digits);
  if (device === 'auto' || device === 'cpu') return undefined;
  throw new StruPruneError(
    'ERR_ARGUMENT',
    `device '${device}' is unknown`,
    'choose auto, cpu or cuda:N',
  );
}

export interface Choice {
  /** null: the CPU. */
  index: number | null;
  /** Why auto stays on the CPU; null where there is nothing to say. */
  reason: Reason | null;
}

/** @throws StruPruneError ERR_DEVICE when a GPU was named that cannot be used, ERR_ARGUMENT */
export async function chooseDevice(device: DeviceName): Promise<Choice> {
  const index = indexOf(device);
  if (device === 'cpu') return { index: null, reason: null };
  const choice = choiceAmong(await probeOnce(), index);
  if (index === undefined || choice.index !== null) return choice;
  const { found, mend } = choice.reason!;
  throw new StruPruneError(
    'ERR_DEVICE',
    `${device} cannot be used: ${found}`,
    `${mend}, or use --device cpu`,
  );
}

/** The named GPU or, without a name, the usable one with the most free memory. */
function choiceAmong({ unusable, gpus }: GpuProbe, index: number | undefined): Choice {
  if (unusable) return { index: null, reason: unusable };
  if (index !== undefined && index >= gpus.length) {
    const found = `the driver has ${gpus.length === 1 ? 'one GPU' : `${gpus.length} GPUs`}`;
    return { index: null, reason: { found, mend: 'struprune-native devices lists them' } };
  }
  const wanted = index === undefined ? gpus : [gpus[index]!];
  const usable = wanted.filter((gpu) => !gpu.unusable);
  if (usable.length > 0) {
    const best = usable.reduce((a, b) => (b.freeBytes! > a.freeBytes! ? b : a));
    return { index: best.index, reason: null };
  }
  const [first] = wanted;
  const { found, mend } = first!.unusable!;
  return { index: null, reason: { found: `${first!.name}: ${found}`, mend } };
}
