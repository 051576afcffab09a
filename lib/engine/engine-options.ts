/** What an engine may be told. */
import type { DeviceName } from './gpu';

export interface EngineOptions {
  /** Worker threads. Default: all cores. */
  threads?: number;
  /**
   * Limit in bytes on the memory of the process and its children above an idle Node that has loaded the library; 0 = none.
   * It holds for one engine that works at a time; what the caller's own code takes is not in it.
   */
  memory?: number;
  /**
   * Allow products of bf16 operands with float sums (about 3 significant digits each) where the hardware and the
   * build have them: processors with AMX or AVX512_BF16. Default false.
   */
  bf16?: boolean;
  /**
   * Full float products also where those of operands in two parts of bf16 (BF16×3, about 5 digits) are faster and taken:
   * for sums over calibration tokens on processors with AMX, and on a GPU; and where those of one part are, for what
   * searches for gate and up there, and with AVX512_BF16 alone. Default false.
   */
  fullPrecision?: boolean;
  /**
   * Where to compute: `cpu`, `cuda:N`, or `auto` (default): the GPU with the most free memory that can be
   * used, else the CPU, and `onNotice` hears why.
   */
  device?: DeviceName;
  /** Limit in bytes on the GPU's memory; 0 (default) = 90 % of what is free, and at least 512 MiB or half less than all of it. */
  deviceMemory?: number;
  /**
   * Processes that share each prune(), each with an engine of its own: as many as the launcher of MPI has started
   * (docs/scale-out.md). Left out, there is this one, and MPI is not opened.
   */
  ranks?: number;
  /** What a rank can send to another, Gbit/s: they share the tokens of a solve only where that saves time. Left out, they always do. */
  network?: number;
  /** Hears in one line on which device the engine works, before its first call, and what a run does to the images of a folder. */
  onNotice?: (text: string) => void;
  /** Stops the call, which rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** What an engine is made of. */
export type MachineOptions = Omit<EngineOptions, 'signal'>;

export const MACHINE_KEYS = [
  'threads',
  'memory',
  'bf16',
  'fullPrecision',
  'device',
  'deviceMemory',
  'ranks',
  'network',
  'onNotice',
] as const satisfies (keyof MachineOptions)[];
