import type { AllocationScope, EnergyForm } from '../allocation';
import type { ExportKind } from '../checkpoint/export-table';
import type { StageUse } from '../engine/stage-clock';
import type { Site } from '../model/sublayers';
import type { AdmmStep } from '../solver/admm';
import type { TuneReport } from '../tuning/train';

/** What became of one block; widths before and after, and fingerprints of what was kept. */
export interface LayerResult {
  index: number;
  ffnBefore: number;
  ffnAfter: number;
  kvHeadsBefore: number;
  kvHeadsAfter: number;
  /** 0 where the block has none; `ffn` is then the width of each. */
  expertsBefore: number;
  expertsAfter: number;
  /** SHA-256 of the kept indices as little-endian int32, ascending; of experts those of each, one after the other. */
  keptFfnSha256: string;
  keptKvSha256: string;
  /** Experts that stay, ascending; null where the block has none. */
  keptExperts: number[] | null;
}

/**
 * Timings and errors of one solved site; not reproducible to the byte as LayerResult is. The channels inside the experts of a
 * block are one, `expert-channels`, with as many groups as each has: its error is the mean over the tokens that are routed to
 * them, its λ the largest.
 */
export interface LayerStats {
  index: number;
  site: Site;
  removed: number;
  groups: number;
  /** What removing a weight here costs by the survey, at the share that all layers would give up alike, ÷ the mean over them (ε_l of docs/method.md, section 5); null without a survey. */
  energy: number | null;
  /** w_l: what a unit of this layer's error is worth; null without a survey. */
  weight: number | null;
  /** Predicted loss of the survey, Σ of which the allocation minimised; null without a survey. */
  predicted: number | null;
  /** Error of the map after the solve as a share of its target's energy; null where none was measured. */
  relativeError: number | null;
  lambda: number | null;
  ridgeRaised: number;
  swaps: number | null;
  /** ADMM only: iterations, residuals of the last one, and every step as it was. */
  admm: {
    iterations: number;
    converged: boolean;
    primal: number;
    dual: number;
    history: AdmmStep[];
  } | null;
  /** FFN sites whose gate and up were refitted too: the error with the output map's refit alone, and rounds that lowered it. */
  inputRefit: { before: number; rounds: number } | null;
  /** Sites of experts, of which some or channels went: calibration tokens that were routed to each before. */
  expertTokens: number[] | null;
  seconds: number;
}

export interface AllocatedPart {
  scope: AllocationScope | 'all';
  /** threshold: largest slope that was taken, loss ÷ weight; null where nothing had to go. */
  tau: number | null;
  /** energy: form, temperature as given or chosen, and the multiplier of the budget. */
  form: EnergyForm | null;
  temperature: number | null;
  mu: number | null;
}

/** A search for an allocation: what the network loses with all layers pruned, before the first round and after the last. */
export interface SearchReport {
  rounds: number;
  before: number;
  after: number;
}

/** Masks of two halves of the survey's tokens beside each other, at the widths that were decided. */
export interface MaskConfidence {
  /** Share of what one keeps that the other keeps too, mean over all groups that stay. */
  overlap: number;
  /** The same of masks drawn at random. */
  chance: number;
  /** `entropy`: mean over the site's groups of that of how often they are kept, in bits. */
  sites: { index: number; site: Site; overlap: number; chance: number; entropy: number }[];
}

export interface PruneResult {
  /** Every setting as it took effect, by the option's name; sizes in bytes, null where it was not set. */
  settings: Record<string, string | number | boolean | null>;
  method: string;
  allocation: string;
  scope: string;
  format: 'hf' | 'gguf';
  dtype: string;
  output: string;
  /** Calibration tokens that decided anything, whole windows of `window`; 0 for a method that reads weights alone. */
  calibrationTokens: number;
  window: number;
  parametersBefore: number;
  parametersAfter: number;
  /** Removed ÷ all linear weights of all blocks. */
  sparsity: number;
  /** Removed parameters ÷ all parameters of the file. */
  fileSparsity: number;
  /** Bytes of the weight files; before = the source's files. */
  bytesBefore: number;
  bytesAfter: number;
  perplexityBefore: number | null;
  perplexityAfter: number | null;
  /** What both were measured on, in words: the name of `--eval`'s file, or which windows of the calibration text; null: nothing. */
  measuredOn: string | null;
  /** Of the last windows that calibrated, where less is lost than elsewhere; null where no text did. */
  perplexityCalibrated: { before: number; after: number } | null;
  /** Mean NLL of the last calibration window as the run left it, and as the written file gives it. */
  verification: { expected: number; actual: number };
  seconds: number;
  /** Of them, for the perplexities and samples of before and after. */
  measuringSeconds: number;
  /** `cpu`, or the GPU that computed, its libraries and the limit on its memory. */
  device: string;
  /** Largest resident size of the process. */
  peakRssBytes: number;
  /** Most that the native side had allocated at once, as `plan` predicts of its stages. */
  peakBudgetBytes: number;
  /** Bytes from and to scratch files. */
  scratchTraffic: { read: number; written: number };
  /** What each rank did, by stages in their order there (docs/scale-out.md); one process is rank 0. */
  ranks: StageUse[][];
  /** Most of the GPU's memory at once, what --device-memory limits; null on the CPU. */
  peakDeviceBytes: number | null;
  /** What loads the output. */
  kind: ExportKind;
  /** A folder of a model of text and images, whose text model was pruned. */
  seeing: boolean;
  notes: string[];
  /** What the allocation rule came to, one entry a budget: all layers together, or each scope apart; none where the rule is the caller's own. */
  allocated: AllocatedPart[];
  /** Dense survey before allocation: none was needed, this run made it, or --from-calibration gave it. */
  survey: 'none' | 'made' | 'file';
  /**
   * Rounds that searched on from the allocation, and what all layers pruned at once, on the dense model's inputs, lost before and after:
   * KL to the dense model, nats a token of text that nothing was summed of; null where nothing was searched for.
   */
  search: SearchReport | null;
  /** How sure masks are; null unless asked for. */
  confidence: MaskConfidence | null;
  /** Hidden states that the blocks were solved on: none (dense statistics or weights alone), the dense model's, or those of the model pruned so far. */
  solveInputs: 'none' | 'dense' | 'sequential';
  /**
   * Tuning of factors after the solve: its tokens, the steps that were made, and the divergence from the dense model before
   * and after, of windows held out and of some that were trained on; null where nothing was tuned.
   */
  tuning: TuneReport | null;
  /** Blocks that came out of the journal of an earlier run and were not solved again. */
  resumedBlocks: number[];
  warnings: string[];
  /** 40 greedy tokens after a short prompt of the evaluation (else calibration) text; null unless asked for. */
  samples: { prompt: string; before: string; after: string } | null;
  layers: LayerResult[];
  layerStats: LayerStats[];
}
