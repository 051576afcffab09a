/**
 * What a process takes beside what the library allocates natively under its budget, above an idle Node that has loaded
 * the library. Measured from outside (`bench memory`): its peak less the native side's, on the embedded models and SmolLM2.
 */
import type { ModelSource } from '../model/architecture';
import { MIB } from '../numbers';

/** V8's heap of a run, the C library's, code that is touched, pieces of files on their way. */
const BASE = 24 * MIB;
/** Work space of a thread's products, in the BLAS and in AMX tiles, and its stack. */
const THREAD = 4 * MIB;
/** A token of a GGUF file's vocabulary with its merges, in V8's heap while it is read. */
const TOKEN = 400;

/** Bytes of `--memory` that no model of any size leaves to the native side. */
export function processReserve(threads: number): number {
  return BASE + threads * THREAD;
}

/** What an open model takes beside its weights. */
export function modelReserve({ format, architecture }: ModelSource): number {
  return format === 'gguf' ? TOKEN * architecture.vocab : 0;
}

/** A token's id. */
const ID = 4;
/** A point of an error curve, or a statistic of a column. */
const NUMBER = 8;
/** A group's index in a mask. */
const INDEX = 4;

/** Numbers a factor that tuning has at once: its logarithm, a gradient twice, two moments. */
const TUNED = 5;
/** Bytes a number of the changes of a block at hand: it, as the block has it too, two moments, a gradient, and copies of a map's. */
const CHANGED = 24;

/**
 * What a run keeps to its end of its calibration text, and of its layers' groups and columns where it made a survey; and
 * what tuning has of its factors.
 */
export function keptReserve(kept: {
  tokens: number;
  factors: number;
  changes: number;
  groups: number;
  curves: number;
  statistics: number;
}): number {
  const { tokens, factors, changes, groups, curves, statistics } = kept;
  const numbers = curves + statistics + TUNED * factors;
  return ID * tokens + INDEX * groups + NUMBER * numbers + CHANGED * changes;
}

/** The native side's share of a budget in bytes; 0 = no budget. At least one byte of a budget is left. */
export function nativeLimit(memory: number, threads: number): number {
  return memory === 0 ? 0 : Math.max(1, memory - processReserve(threads));
}
