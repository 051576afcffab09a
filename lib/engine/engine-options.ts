/** What every call that computes may be told beside its settings. */
import type { OnProgress, OnWarning } from '../progress';
import type { Engine } from './engine';

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
  /** Stops the call, which rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** What an engine is made of. */
export type MachineOptions = Omit<EngineOptions, 'signal'>;

export interface CallOptions extends EngineOptions {
  /** An engine that is there, which the call waits for; else it makes one of its own of the options above. */
  engine?: Engine;
}

export const MACHINE_KEYS = [
  'threads',
  'memory',
  'bf16',
] as const satisfies (keyof MachineOptions)[];

/** Options that no schema of settings knows. */
export const CALL_KEYS: readonly string[] = [
  ...MACHINE_KEYS,
  'engine',
  'signal',
  'onProgress',
  'onWarning',
] satisfies (keyof (CallOptions & { onProgress: OnProgress; onWarning: OnWarning }))[];
