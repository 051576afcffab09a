import { statSync } from 'node:fs';
import { fewerThanAWindow } from './calibration/corpus';
import { isIds, requireTokenizer, type Text } from './calibration/text';
import { requireName } from './checkpoint/output-path';
import { checkedOptions, withEngine } from './engine/call';
import type { Engine } from './engine/engine';
import { leftToCpu } from './engine/session';
import { windowFor } from './measure/perplexity';
import type { Architecture, ModelSource } from './model/architecture';
import type { PlanInput } from './models/decoders/needs/stage';
import { planRun, type RunPlan, type StagePlan, smallestMemory } from './models/decoders/plan';
import { planInput } from './models/decoders/plan-input';
import { stageSeconds } from './models/decoders/stage-seconds';
import { planTeam, sentBy, type TeamPlan } from './models/decoders/team-plan';
import { tokenizerBytesOf } from './models/decoders/tokenizer-output';
import { type PruneOptions, type Settings, settingsOf } from './options';
import { EFFORTS, type Effort } from './options/effort';
import { askedWindows, measuringTokens } from './pruning/texts';
import { withHeaders } from './source';
import { type RunSpec, resolve } from './spec';

/** Those of prune(). Output and texts need not be there, nor a target. */
export type PlanOptions = Partial<PruneOptions>;

/** Seconds are those of the rank that takes longest. */
export interface RanksPlan {
  count: number;
  survey: number;
  solve: number;
  /** Whether they share the solve's tokens: unless `network` is given, and it would take longer. */
  sharesTokens: boolean;
  /** Seconds that the solve's sums are on their way; null without `network`. */
  network: number | null;
  /** All stages, and the network where it is known. */
  seconds: number;
  /** Bytes of sums that each rank sends at most: as many as that where it is given how much goes from each layer. */
  sent: number[];
}

export interface Plan extends Omit<RunPlan, 'stages'> {
  format: 'hf' | 'gguf';
  /** Of the output's matrices, as given or by default. */
  dtype: string;
  /** What the user should know about the output. */
  notes: string[];
  stages: (StagePlan & { seconds: number })[];
  /** The share that was planned with because no target was given: nothing removed, which takes the most; null with a target. */
  assumedSparsity: number | null;
  /** The smallest --memory that `prune` accepts, bytes. */
  smallestMemory: number;
  /** Whether the given --memory suffices. */
  fits: boolean;
  /** All stages together. */
  seconds: number;
  /**
   * Where several ranks share the run, whose `memory` and `scratch` above are those of the one that needs most. null where one alone is at work.
   */
  ranks: RanksPlan | null;
  /** The same with each --effort, all else as given. */
  efforts: Record<Effort, number>;
  /** GFLOP/s of products, measured now, of which `seconds` were made: of an evaluation's, and of sums over calibration tokens. */
  gemmRate: number;
  calibrationRate: number;
  parameters: number;
  blocks: number;
}

/** Bytes of English text a token stands for, about. */
const TOKEN_BYTES = 4;

/**
 * What prune(model, options) would need, from the checkpoint's header; its tokenizer is loaded, for prune() refuses a model
 * without one. No weight and no text is read. Memory is that of the whole process above an idle one, of stages what the
 * native side allocates; times are rough.
 * Throws ERR_NOT_FOUND, ERR_CHECKPOINT, ERR_UNSUPPORTED, ERR_TOKENIZER, ERR_ARGUMENT, ERR_TEXT; ERR_DEVICE and ERR_BUDGET of a GPU.
 */
export async function plan(model: string | ModelSource, options: PlanOptions): Promise<Plan> {
  const { sparsity, targetParams, targetMacs, targetSize, targetSpeed } = checkedOptions(options);
  const targets = [sparsity, targetParams, targetMacs, targetSize, targetSpeed];
  const assumedSparsity = targets.every((target) => target === undefined) ? 0 : null;
  const target = assumedSparsity === null ? {} : { sparsity: assumedSparsity };
  const at = (effort = options.effort) =>
    settingsOf({ output: '-', calibration: '-', ...options, ...target, effort });
  const settings = at();
  if (options.output !== undefined) requireName(settings.output, settings.format);
  return withHeaders(model, options, (source) => planOf(source, at, assumedSparsity, options));
}

/** `at`: the settings of an effort; as asked for where none is named. */
async function planOf(
  source: ModelSource,
  at: (effort?: Effort) => Settings,
  assumedSparsity: number | null,
  options: PlanOptions,
): Promise<Plan> {
  const settings = at();
  const { format } = settings;
  const { architecture } = source;
  // The budget is planned with, not worked in; and one process counts for all.
  const machine = options.engine
    ? options
    : { ...options, memory: 0, ranks: undefined, network: undefined };
  return withEngine(machine, async (engine) => {
    await requireTokenizer(source, options.signal);
    const bytes = await tokenizerBytesOf(source, settings, options.signal);
    const spec = resolve(source, settings, bytes);
    const input = inputOf(engine, spec);
    const limit = options.engine ? engine.budget : (options.memory ?? 0);
    const run = planRun(input, limit);
    const { rates, secondsOf: ofStage } = await stageSeconds(engine);
    const timed = (stage: StagePlan) => ({ ...stage, seconds: ofStage(stage) });
    const { ranks: size = 1, network } = options;
    const team = size === 1 ? null : planTeam(input, { size, limit, network }, ofStage);
    const runs = team?.runs ?? [run];
    const memory = Math.max(...runs.map((one) => one.memory));
    const stages = run.stages.map(timed);
    const inAll = (of: readonly { seconds: number }[]) => of.reduce((sum, s) => sum + s.seconds, 0);
    const seconds = inAll(stages);
    const onRanks = ({ longest, network, sharesTokens }: TeamPlan) => {
      const each = stages.map(({ stage }) => ({ seconds: longest(stage) }));
      return {
        count: size,
        survey: longest('survey'),
        solve: longest('solve'),
        sharesTokens,
        network,
        seconds: inAll(each) + (network ?? 0),
        sent: runs.map(sentBy),
      };
    };
    const secondsOf = (effort: Effort) => {
      if (effort === settings.effort) return seconds;
      const other = resolve(source, at(effort), bytes);
      return inAll(planRun(inputOf(engine, other), limit).stages.map(timed));
    };
    return {
      ...run,
      memory,
      scratch: Math.max(...runs.map((one) => one.scratch)),
      format,
      dtype: spec.output.dtype.toLowerCase(),
      notes: [...spec.output.notes, ...(engine.device === 'cpu' ? [] : leftToCpu(architecture))],
      assumedSparsity,
      stages,
      smallestMemory: Math.max(...(team?.inputs ?? [input]).map(smallestMemory)),
      fits: limit === 0 || memory <= limit,
      seconds,
      ranks: team && onRanks(team),
      efforts: byEach(secondsOf),
      gemmRate: rates.gemmRate,
      calibrationRate: rates.calibrationRate,
      parameters: source.parameters,
      blocks: architecture.blocks.length,
    };
  });
}

/** What a run is planned from, as it is asked for: its texts are not read. @throws StruPruneError ERR_TEXT */
export function inputOf(engine: Engine, spec: RunSpec): PlanInput {
  const { window, settings, source } = spec;
  return planInput(spec, {
    engine,
    tokens: wholeWindows(settings.calibrationTokens, window),
    tuning: askedWindows(settings, window),
    evaluation: evaluationOf(settings, source.architecture, window),
  });
}

function byEach(value: (effort: Effort) => number): Record<Effort, number> {
  const entries = EFFORTS.map((effort) => [effort, value(effort)]);
  return Object.fromEntries(entries) as Record<Effort, number>;
}

/** @throws StruPruneError ERR_TEXT where there is none */
function wholeWindows(tokens: number, window: number): number {
  if (tokens < window) throw fewerThanAWindow(tokens, window);
  return Math.floor(tokens / window) * window;
}

/** About. */
function tokensOf(text: Text): number {
  const bytes = (path: string) => statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (typeof text === 'string') return Math.ceil(bytes(text) / TOKEN_BYTES);
  if (isIds(text)) return text.length;
  return Math.ceil(text.reduce((sum, { length }) => sum + length, 0) / TOKEN_BYTES);
}

/** `calibrated`: tokens of a calibration window. */
function evaluationOf(
  { eval: text, evalTokens, evalWindow }: Pick<Settings, 'eval' | 'evalTokens' | 'evalWindow'>,
  architecture: Architecture,
  calibrated: number,
) {
  if (text === undefined) return { tokens: measuringTokens(calibrated), window: calibrated };
  const window = windowFor(architecture, evalWindow ?? calibrated);
  // What a text has is an estimate, and not refused.
  const there = Math.max(tokensOf(text), window);
  const tokens = Math.min(evalTokens ?? Number.POSITIVE_INFINITY, there);
  return { tokens: wholeWindows(tokens, window), window };
}
