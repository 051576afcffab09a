import { cpus } from 'node:os';
import { withEngine } from './call';
import type { EngineOptions } from './engine-options';
import { measureRates } from './gemm-rate';
import { onlyAsked, probeGpus } from './gpu';
import { native } from './native';
import type { CpuFeatures } from './native-devices';
import type { GpuProbe } from './native-gpu';

export interface Devices {
  cpu: string;
  features: CpuFeatures;
  /** Name, version and kernel. */
  blas: string;
  /** What this build can run on this processor, the fastest f32 path first. */
  gemmPaths: string[];
  /** The one that is used. */
  gemmPath: string;
  /** The one that is used in sums over calibration tokens. */
  calibrationPath: string;
  /** The one that is used in searches. */
  searchPath: string;
  threads: number;
  /** GFLOP/s of products by those paths on those threads, measured now. */
  gemmRate: number;
  calibrationRate: number;
  searchRate: number;
  /** The same by the BLAS's sgemm. */
  sgemmRate: number;
  /** NVIDIA GPUs, or the one that `device` names, and what keeps them from being used. */
  cuda: GpuProbe;
}

/** Shape of the measured product, `[rows, WIDTH] × [WIDTH, WIDTH]`: that of a small model's maps. */
const WIDTH = 2048;
const SECONDS = 0.5;

/** What the machine offers and how fast it multiplies. @throws StruPruneError ERR_ARGUMENT */
export function inspectDevices(options: EngineOptions = {}): Promise<Devices> {
  return withEngine({ ...options, device: 'cpu' }, async (engine) => ({
    cpu: cpus()[0]?.model ?? 'unknown',
    blas: native.blas,
    ...native.devices(),
    gemmPath: engine.gemmPath,
    calibrationPath: engine.calibrationPath,
    searchPath: engine.searchPath,
    threads: engine.threads,
    ...(await measureRates(engine, WIDTH, SECONDS)),
    cuda: onlyAsked(await probeGpus(), options.device),
  }));
}
