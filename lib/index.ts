/** The public API, and nothing else. */
export type { ErrorCode } from './errors';
export { StruPruneError } from './errors';
export { type EvaluateOptions, type Evaluation, evaluate } from './evaluate';
export type { OnProgress, OnWarning, Progress } from './progress';
export { prune } from './prune';
export type { PruneOptions } from './pruning/options';
export type { LayerResult, LayerStats, PruneResult } from './pruning/result';
