/**
 * What a process takes beside what the library allocates natively under its budget, above an idle Node that has loaded
 * the library. Measured from outside (`bench memory`): its peak less the native side's, on the embedded models and SmolLM2.
 */

const MIB = 2 ** 20;
/** V8's heap of a run, the C library's, code that is touched, pieces of files on their way. */
const BASE = 32 * MIB;
/** The BLAS's buffer of a thread, and its stack. */
const THREAD = 8 * MIB;

/** Bytes of `--memory` that are not the native side's. */
export function processReserve(threads: number): number {
  return BASE + threads * THREAD;
}

/** The native side's share of a budget in bytes; 0 = no budget. At least one byte of a budget is left. */
export function nativeLimit(memory: number, threads: number): number {
  return memory === 0 ? 0 : Math.max(1, memory - processReserve(threads));
}
