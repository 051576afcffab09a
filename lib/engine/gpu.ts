/** Which GPU to use: asked in a process of its own, since a broken driver may end the one that loads it. */
import { type ExecFileException, execFile } from 'node:child_process';
import { StruPruneError } from '../errors';
import { addonFile, cudaLibrary } from './native-files';
import type { GpuProbe, Reason } from './native-gpu';
import { PLAIN_NODE } from './plain-node';

/** A driver that nothing keeps awake initialises every GPU of a large server first. */
const TIMEOUT_MS = 120_000;

/** Of the answer's line: drivers may write to stdout too. */
const MARK = 'struprune-native probe: ';
const SCRIPT = `
const [addon, library] = process.argv.slice(1);
const probe = require(addon).probeGpus(library);
process.stdout.write('\\n${MARK}' + JSON.stringify(probe) + '\\n');
`;

/** @throws Error that says how the probe ended */
function ask(): Promise<GpuProbe> {
  const args = ['-e', SCRIPT, addonFile(), cudaLibrary()];
  const env = { ...process.env, ...PLAIN_NODE };
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, { env, timeout: TIMEOUT_MS }, (error, stdout) => {
      try {
        if (error) throw new Error(endOf(error));
        resolve(answerOf(stdout));
      } catch (cause) {
        reject(cause);
      }
    });
  });
}

function endOf({ killed, signal, code }: ExecFileException): string {
  if (killed) return 'the driver did not answer within two minutes';
  return `the driver's probe ended ${signal ? `by ${signal}` : `with exit code ${code}`}`;
}

function answerOf(stdout: string): GpuProbe {
  const line = stdout.split('\n').find((text) => text.startsWith(MARK));
  if (line === undefined) throw new Error("the driver's probe said nothing");
  return JSON.parse(line.slice(MARK.length));
}

function failed(error: unknown): GpuProbe {
  const found = (error as Error).message;
  return { driver: 0, unusable: { found, mend: 'see what nvidia-smi says' }, gpus: [] };
}

/** What GPUs there are and what keeps them from being used. Never rejects. */
export function probeGpus(): Promise<GpuProbe> {
  return ask().catch(failed);
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

/** probeGpus(), whose answer holds for the whole process; where there was none it is asked for again next time. */
async function probeOnce(): Promise<GpuProbe> {
  known ??= ask();
  try {
    return await known;
  } catch (error) {
    known = undefined;
    return failed(error);
  }
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
