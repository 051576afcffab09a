/** The public API, and nothing else. */
export type { AllocateOptions } from './allocate';
export { allocate } from './allocate';
export type { Allocation, AllocationLayer, Budget } from './allocation';
export type { AllocationFunction, PlacedLayer } from './allocation/own';
export type { AllocationScope, EnergyForm } from './allocation/types';
export type { GraphsOptions } from './bench/graphs/options';
export { benchGraphs } from './bench/graphs/run';
export type { KernelOptions } from './bench/kernels/options';
export { benchKernels } from './bench/kernels/run';
export type { LatencyOptions } from './bench/latency/options';
export { benchLatency } from './bench/latency/run';
export type { MasksOptions } from './bench/masks/options';
export { benchMasks } from './bench/masks/run';
export type { MemoryOptions } from './bench/memory/options';
export { benchMemory } from './bench/memory/run';
export type { MethodOptions, OwnMethod } from './bench/methods';
export type { PeersOptions } from './bench/peers/options';
export { benchPeers } from './bench/peers/run';
export type { QualityOptions } from './bench/quality/options';
export { benchQuality } from './bench/quality/run';
export type { ScaleOptions } from './bench/scale/options';
export { benchScale } from './bench/scale/run';
export type { SpeedOptions } from './bench/speed/options';
export { benchSpeed } from './bench/speed/run';
export type { ExportKind, ExportRow } from './checkpoint/export-table';
export { exportTable } from './checkpoint/export-table';
export type { Priced } from './choices/widths';
export type { BenchDocument } from './documents/bench';
export { EMBEDDED_WINDOW, embeddedMix, embeddedModel, embeddedTexts } from './embedded';
export type { Admm } from './engine/admm';
export type { CallOptions } from './engine/call';
export { type Devices, inspectDevices } from './engine/devices';
export { Engine } from './engine/engine';
export type { EngineOptions, MachineOptions } from './engine/engine-options';
export type { CpuFeatures } from './engine/native-devices';
export type { MemoryUse } from './engine/native-engine';
export type { Gpu, GpuProbe, Reason } from './engine/native-gpu';
export type { Flops } from './engine/native-needs';
export type {
  AdmmResiduals,
  ColumnStatistics,
  KeptCosts,
  Metric,
  ProblemReport,
  RefitOptions,
  RefitReport,
  RidgeReport,
  SliceOptions,
  SwapOptions,
  SwapResult,
  SweepOptions,
  SweepResult,
} from './engine/native-solver';
export type { Refit } from './engine/refit';
export type { Solver } from './engine/solver';
export type { StageUse } from './engine/stage-clock';
export type { ErrorCode } from './errors';
export { StruPruneError } from './errors';
export { type EvaluateOptions, evaluate } from './evaluate';
export { evaluateTasks, type TasksOptions } from './evaluate-tasks';
export { type Exported, type ExportOptions, exportModel } from './export-model';
export {
  type AnswerOptions,
  answer,
  type Generated,
  type GenerateOptions,
  generate,
} from './generate';
export type { LentSolver, MaskFunction, MaskTask } from './masks/own';
export type { Against } from './measure/against';
export type { Evaluation } from './measure/perplexity';
export type { Share, TaskScores } from './measure/tasks';
export type {
  Architecture,
  BlockRefs,
  BlockScales,
  BlockWidths,
  Dtype,
  ModelRole,
  ModelSource,
  OtherMixer,
  StoredTensor,
  TensorRef,
  Wrapped,
} from './model/architecture';
export type {
  Activation,
  BlockRole,
  ClampedGate,
  DeltaSpec,
  Part,
  Rope,
  Site,
} from './model/sublayers';
export type { Layout, TextModel, Wrapper } from './model/wrappers';
export type { StageName, StagePlan } from './models/decoders/plan';
export type { LossKind, OutputLoss } from './models/graphs/run/losses';
export type { Evaluation as GraphEvaluation } from './models/graphs/run/measured';
export type { GraphResult, GraphSiteResult } from './models/graphs/run/result';
export type { Held } from './models/graphs/run/sites';
export type { GraphOptions, PruneOptions } from './options';
export type { Effort } from './options/effort';
export type {
  Elements,
  Fed,
  FeedSource,
  Feeds,
  GivenLoss,
  GivenSamples,
  Outputs,
  OwnLoss,
} from './options/feeds';
export { type Plan, type PlanOptions, plan, type RanksPlan } from './plan';
export type { OnProgress, OnWarning, Progress } from './progress';
export { prune } from './prune';
export { pruneGraph } from './prune-graph';
export type {
  AllocatedPart,
  LayerResult,
  LayerStats,
  MaskConfidence,
  PruneResult,
  SearchReport,
} from './pruning/result';
export {
  benchReport,
  graphReport,
  type PruneReportOptions,
  pruneReport,
  type ReportOptions,
} from './reports';
export type { AdmmStep } from './solver/admm';
export type { Structure } from './solver/structures/types';
export { type OpenOptions, openModel } from './source';
export { type LayerCurves, type SurveyOptions, survey } from './survey';
export type { Message, OnText } from './tokenizer';
export type { Divergences, TuneReport } from './tuning/train';
