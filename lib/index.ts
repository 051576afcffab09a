/** The public API, and nothing else. */
export { benchKernels } from './bench/kernels/run';
export { benchMasks } from './bench/masks/run';
export { benchPeers } from './bench/peers/run';
export { benchQuality } from './bench/quality/run';
export type { BenchDocument } from './bench/schema';
export { benchSpeed } from './bench/speed/run';
export type { ErrorCode } from './errors';
export { StruPruneError } from './errors';
export { type EvaluateOptions, type Evaluation, evaluate } from './evaluate';
export { type Plan, type PlanOptions, plan } from './plan';
export type { OnProgress, OnWarning, Progress } from './progress';
export { prune } from './prune';
export type { PruneOptions } from './pruning/options';
export type { LayerResult, LayerStats, PruneResult } from './pruning/result';
