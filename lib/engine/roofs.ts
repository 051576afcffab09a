import type { Engine } from './engine';
import { native } from './native';
import type { GpuTimings, KernelRun, Roofs } from './native-bench';
import type { BlockSpec } from './native-block';

/** What the machine could do; takes about 3 · seconds. */
export function measureRoofs(engine: Engine, seconds: number): Promise<Roofs> {
  return native.measureRoofs(engine.handle, seconds);
}

/** Operations of the engine's GPU at a block's shapes, and its head. @throws ERR_BUDGET where its memory does not hold them */
export function timeGpuKernels(
  engine: Engine,
  spec: BlockSpec,
  head: { width: number; vocab: number },
  run: KernelRun,
): Promise<GpuTimings> {
  return native.timeGpuKernels(engine.handle, spec, head, run);
}
