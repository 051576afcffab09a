/** What every call that computes may be told. */
import type { DeviceName } from './gpu';

export interface EngineOptions {
  /** Worker threads. Default: all cores. */
  threads?: number;
  /** Limit in bytes on what the library allocates natively; 0 = none. */
  memory?: number;
  /**
   * Allow products of bf16 operands with float sums (about 3 significant digits each) where the hardware and the
   * build have them; oneDNN builds only. Holds for the whole process until the next engine. Default false.
   */
  bf16?: boolean;
  /**
   * Where sites are computed: `cpu`, `cuda:N`, or `auto` (default): the GPU with the most free memory that can be
   * used, else the CPU, and `onNotice` hears why.
   */
  device?: DeviceName;
  /** Limit in bytes on the GPU's memory; 0 = 90 % of what is free. */
  deviceMemory?: number;
  /** Hears on which device the run goes, in one line. */
  onNotice?: (text: string) => void;
  signal?: AbortSignal;
}

/** Options of the engine, which a schema of settings does not know. */
export const ENGINE_KEYS: readonly string[] = [
  'threads',
  'memory',
  'bf16',
  'device',
  'deviceMemory',
  'onNotice',
  'signal',
] satisfies (keyof EngineOptions)[];
