/** One run of prune() as it is opened: everything that can be refused is refused here, before any work. */
import { resolve } from 'node:path';
import { nameOf, readWindows, type TextOptions } from '../../calibration/text';
import { requireWritable } from '../../checkpoint/atomic';
import { embeddedMix } from '../../embedded';
import { type Engine, withBytes } from '../../engine/engine';
import { Session } from '../../engine/session';
import { StageClock } from '../../engine/stage-clock';
import { windowFor } from '../../measure/perplexity';
import type { ModelSource } from '../../model/architecture';
import type { PruneOptions, Settings } from '../../options';
import { idleOptions } from '../../options/idle';
import type { OnStage, OnWarning } from '../../progress';
import type { Journal } from '../../pruning/journal/journal';
import { mayReplace } from '../../pruning/survey-file';
import type { Surveys } from '../../pruning/surveys';
import {
  type MeasuringText,
  measuringText,
  measuringTokens,
  mixedInto,
  splitText,
  type TuneText,
} from '../../pruning/texts';
import { type RunSpec, resolve as resolveRun } from '../../spec';
import { requireNoSliding } from '../../spec/output';
import { MIXED } from '../../spec/refit';
import { turn } from '../../turns';
import type { Hashes } from './model-card';
import type { PlanInput } from './needs/stage';
import { requireBeside } from './places';
import { planInput } from './plan-input';
import { requireOutputSpace, requireRoom } from './room';
import { stageSeconds } from './stage-seconds';
import { planTeam } from './team-plan';
import { type TokenizerOutput, tokenizerBytesOf } from './tokenizer-output';
import { wholeProgress } from './whole';

export interface Run extends RunSpec {
  engine: Engine;
  signal: AbortSignal | undefined;
  /** Calibration tokens, whole windows. */
  ids: Int32Array;
  tuneText: TuneText | null;
  /** Of its tokens those of this package's mixed text. */
  mixTokens: number;
  /** Both, one after the other. */
  text: Int32Array;
  /** What measures the dense and the pruned model, by its name for people; null: nothing does. */
  evaluation: (MeasuringText & { window: number }) | null;
  session: Session;
  surveys: Surveys;
  /** Folder for hidden states; '' = in memory. */
  states: string;
  /** Whether ranks may share the solve's tokens. */
  sharesTokens: boolean;
  /** The most that the run needs of the engine's memory at a time, bytes. */
  room: number;
  clock: StageClock;
  onProgress: OnStage | undefined;
  /** What the user should know: told at once, and in the result. */
  warnings: string[];
  warn: OnWarning;
}

/** A run with what its output is made of beside weights. */
export interface DecoderRun extends Run {
  journal: Journal;
  hashes: Hashes;
  tokenizer: TokenizerOutput;
}

/** How a run is followed and stopped. */
export type RunCalls = Pick<PruneOptions, 'signal' | 'onProgress' | 'onWarning'>;

/** What several runs of one model on one calibration text share, each made once (lib/bench). */
export interface Shared {
  /**
   * Calibration text, whole windows, those that tune behind those that calibrate; as `settings` ask for it where left out. With it
   * no text but that of `--eval` measures.
   */
  ids?: Int32Array;
  surveys: Surveys;
  /** Whether a run that ends early leaves its journal. */
  resumable: boolean;
}

/** `held`: bytes of the disk that the run's journal has of its output. */
export async function openRun(
  engine: Engine,
  opened: ModelSource,
  settings: Settings,
  { signal, onProgress, onWarning }: RunCalls,
  { ids: given, surveys }: Shared,
  held: number,
): Promise<Run> {
  const clock = new StageClock(engine.team);
  const spec = resolveRun(opened, settings, await tokenizerBytesOf(opened, settings, signal));
  await turn();
  const { window, source } = spec;
  const { architecture } = source;
  await requireCalibrationFile(settings);
  const { calibrationTokens: calibration, tuneTokens: tuning } = spec.settings;
  const { bounded } = engine;
  const measuring = settings.eval === undefined ? measuringTokens(window) : 0;
  const limits = { window, maxTokens: calibration + tuning + measuring, bounded, signal };
  const read = given ?? (await readWindows(source, settings.calibration, limits));
  const shares = { calibration, tuning, asked: settings.tuneTokens !== undefined, measuring };
  const { ids, tuneText: own, warning } = splitText(read, window, shares);
  const tuneTokens = own ? own.train.length + own.heldOut.length : 0;
  const used = ids.length + tuneTokens;
  const mixed = settings.tuneMix ?? Math.min(spec.settings.tuneMix, Math.floor(MIXED * tuneTokens));
  const mix = own && (await mixOf(source, mixed, limits));
  const tuneText = mix ? mixedInto(own, mix, window) : own;
  let evaluation: Run['evaluation'] = given
    ? null
    : { ...measuringText(read, used, window), window };
  if (settings.eval !== undefined) {
    const evalWindow = windowFor(architecture, settings.evalWindow ?? window);
    requireNoSliding(settings, architecture, evalWindow);
    const maxTokens = settings.evalTokens;
    evaluation = {
      name: nameOf(settings.eval),
      heldOut: false,
      window: evalWindow,
      ids: await readWindows(source, settings.eval, {
        window: evalWindow,
        maxTokens,
        bounded,
        signal,
      }),
    };
  }
  const { team } = engine;
  const sizes = {
    engine,
    tokens: ids.length,
    tuning: tuneText && {
      train: tuneText.train.length / window,
      heldOut: tuneText.heldOut.length / window,
    },
    evaluation: evaluation && { tokens: evaluation.ids.length, window: evaluation.window },
  };
  const input = planInput(spec, sizes);
  const sharesTokens = team.size > 1 && (await tokensPay(engine, input));
  const rank = team.size > 1 && { rank: { rank: team.rank, size: team.size, sharesTokens } };
  const plan = await requireRoom({ ...input, ...rank }, settings, engine);
  await requireOutputSpace(plan, settings, held);
  const session = new Session(engine, source, spec.output.stored, settings.scratch);
  const warnings: string[] = [];
  const tell = onWarning && engine.listeners.hear(onWarning);
  const states = plan.statesPaged ? settings.scratch : '';
  const warn = (warning: string) => {
    warnings.push(warning);
    tell?.(warning);
  };
  // A benchmark gives all of its rows the same.
  if (!given) idleOptions(spec.settings).forEach(warn);
  if (warning) warn(warning);
  if (tuneText && engine.device !== 'cpu')
    warn('tuning runs back through the blocks on the CPU: --tune-tokens 0 spares it');
  return {
    ...spec,
    engine,
    signal,
    ids,
    tuneText,
    mixTokens: mix?.length ?? 0,
    text: read.subarray(0, used),
    evaluation,
    session,
    surveys,
    states,
    sharesTokens,
    clock,
    room: plan.memory - plan.reserve,
    onProgress: wholeProgress(plan, evaluation !== null, withBytes(engine, onProgress)),
    warnings,
    warn,
  };
}

/** Whether ranks save time by sharing the solve's tokens, as rank 0 says; where nothing is known of the network they do. */
async function tokensPay(engine: Engine, input: PlanInput): Promise<boolean> {
  const { team, network } = engine;
  if (network === undefined) return true;
  const decide = async () => {
    const { secondsOf } = await stageSeconds(engine);
    const about = { size: team.size, limit: engine.budget, network };
    return planTeam(input, about, secondsOf).sharesTokens;
  };
  const [decided] = await team.gather(team.rank === 0 ? await decide() : true);
  return decided!;
}

/** Windows of this package's mixed text; null: not one is asked for. */
async function mixOf(
  source: ModelSource,
  tokens: number,
  limits: TextOptions,
): Promise<Int32Array | null> {
  if (tokens < limits.window) return null;
  return readWindows(source, embeddedMix().calibration, { ...limits, maxTokens: tokens });
}

/** Refuses a calibration file that is there, or that cannot be written. */
async function requireCalibrationFile(settings: Settings): Promise<void> {
  const { saveCalibration } = settings;
  if (saveCalibration === undefined) return;
  requireBeside('--save-calibration', saveCalibration, settings);
  const kept = resolve(saveCalibration);
  await requireWritable(kept, { replace: mayReplace(kept, settings) });
}
