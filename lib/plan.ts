import { statSync } from 'node:fs';
import { fewerThanAWindow } from './calibration/corpus';
import { checkedOptions } from './check';
import { requireName } from './checkpoint/output-path';
import { withEngine } from './engine/engine';
import { measureRates } from './engine/gemm-rate';
import { windowFor } from './measure/perplexity';
import type { ModelSource } from './model/architecture';
import { planRun, type RunPlan, type StagePlan, smallestMemory } from './models/decoders/plan';
import { planInput } from './models/decoders/plan-input';
import { tokenizerBytesOf } from './models/decoders/tokenizer-output';
import { type PruneOptions, settingsOf } from './options';
import { sourceOf } from './source';
import { resolve } from './spec';

/** Those of prune(). Output and texts need not be there, nor a target. */
export type PlanOptions = Partial<PruneOptions>;

export interface Plan extends Omit<RunPlan, 'stages'> {
  format: 'hf' | 'gguf';
  /** Of the output's matrices, as given or by default. */
  dtype: string;
  /** What the user should know about the output. */
  notes: string[];
  stages: (StagePlan & { seconds: number })[];
  /** The smallest --memory that `prune` accepts, bytes. */
  smallestMemory: number;
  /** Whether the given --memory suffices. */
  fits: boolean;
  /** All stages together. */
  seconds: number;
  /** GFLOP/s of products, measured now, of which `seconds` were made: of an evaluation's, and of sums over calibration tokens. */
  gemmRate: number;
  calibrationRate: number;
  parameters: number;
  blocks: number;
}

/** Shape of the measured product, as in devices. */
const WIDTH = 1024;
const SECONDS = 0.2;
/** Shares of the rate of products, and of sgemm's, that forward passes with Grams, and solvers in double precision, come to: rough. */
const SINGLE_SHARE = 0.5;
const DOUBLE_SHARE = 0.2;
/** Bytes of English text a token stands for, about. */
const TOKEN_BYTES = 4;

/**
 * What prune(model, options) would need, from the checkpoint's header, and its tokenizer where a GGUF file's bytes are
 * the target: no weight and no text is read. Memory is that of the whole process above an idle one, of stages what the
 * native side allocates; times are rough.
 * Throws ERR_NOT_FOUND, ERR_CHECKPOINT, ERR_UNSUPPORTED, ERR_ARGUMENT, ERR_TEXT; ERR_DEVICE and ERR_BUDGET of a GPU.
 */
export async function plan(model: string | ModelSource, options: PlanOptions): Promise<Plan> {
  const { targetParams, targetSize } = checkedOptions(options);
  const target = targetParams === undefined && targetSize === undefined ? { sparsity: 0 } : {};
  const settings = settingsOf({ output: '-', calibration: '-', ...target, ...options });
  if (options.output !== undefined) requireName(settings.output, settings.format);
  const source = await sourceOf(model, options);
  const { format } = settings;
  const { architecture } = source;
  // The budget is planned with, not worked in.
  const machine = options.engine ? options : { ...options, memory: 0 };
  return withEngine(machine, async (engine) => {
    const bytes = await tokenizerBytesOf(source, settings, options.signal);
    const spec = resolve(source, settings, bytes);
    const { window, output } = spec;
    const input = planInput(spec, {
      engine,
      tokens: wholeWindows(settings.calibrationTokens, window),
      // As many as are asked for: what the text has is not known.
      tuning: Math.floor(settings.tuneTokens / window),
      evaluation: evaluationOf(settings, windowFor(architecture, settings.evalWindow ?? window)),
    });
    const limit = options.engine ? engine.budget : (options.memory ?? 0);
    const run = planRun(input, limit);
    // Products in double precision are the BLAS's, whatever path floats take.
    const { gemmRate, calibrationRate, sgemmRate } = await measureRates(engine, WIDTH, SECONDS);
    const stages = run.stages.map((stage) => {
      const { single, double } = stage.flops;
      const rate = stage.stage === 'evaluate' ? gemmRate : calibrationRate;
      const seconds = single / (SINGLE_SHARE * rate) + double / (DOUBLE_SHARE * sgemmRate);
      return { ...stage, seconds: seconds / 1e9 };
    });
    return {
      ...run,
      format,
      dtype: output.dtype.toLowerCase(),
      notes: output.notes,
      stages,
      smallestMemory: smallestMemory(input),
      fits: limit === 0 || run.memory <= limit,
      seconds: stages.reduce((sum, { seconds }) => sum + seconds, 0),
      gemmRate,
      calibrationRate,
      parameters: source.parameters,
      blocks: architecture.blocks.length,
    };
  });
}

/** @throws StruPruneError ERR_TEXT where there is none */
function wholeWindows(tokens: number, window: number): number {
  if (tokens < window) throw fewerThanAWindow(tokens, window);
  return Math.floor(tokens / window) * window;
}

function evaluationOf(
  { eval: text, evalTokens }: { eval?: string; evalTokens?: number },
  window: number,
) {
  if (text === undefined) return null;
  const size = statSync(text, { throwIfNoEntry: false })?.size ?? 0;
  // What a text has is an estimate, and not refused.
  const there = Math.max(Math.ceil(size / TOKEN_BYTES), window);
  const tokens = Math.min(evalTokens ?? Number.POSITIVE_INFINITY, there);
  return { tokens: wholeWindows(tokens, window), window };
}
