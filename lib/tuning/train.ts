/**
 * Tunes what the solve left (docs/method.md, section 9): factors of kept channels, of the inputs of o, of norms and of
 * output biases go down the gradient of KL(dense ‖ pruned), on text that calibrated nothing. The best of them by windows
 * held out stay.
 */
import { disposeAll, using } from '../engine/owned';
import { nextTokens, type Session } from '../engine/session';
import { type OnStage, stageReporter } from '../progress';
import { type AdamState, adamState, adamStep } from './adam';
import { type FactorPlaces, scaledBlock } from './factors';
import {
  gradientsOf,
  type Lesson,
  type LoadBlock,
  lessonOf,
  measure,
  partOf,
  type Reading,
} from './passes';

/** Two readings of the model each; with the dense model's and two that measure the last and the best, 39. */
export const STEPS = 18;
/**
 * Of the logarithms, at first, with steps of so many tokens; fewer scatter more, and the rate goes by the root of their
 * number (arXiv 2205.10287).
 */
const RATE = { first: 0.02, tokens: 4096 };
/** Steps that the windows held out may get worse for: high rates scatter, and falling ones make up for it. */
const PATIENCE = STEPS / 2;

export interface TrainInput {
  /** As its file has it. */
  dense: Session;
  /** Of the pruned model as it was solved. */
  load: LoadBlock;
  /** A session of the pruned model's ends with these factors; the receiver disposes of it. */
  ends: (logs: Float64Array) => Promise<Session>;
  places: FactorPlaces;
  /** Whole windows; `check`: those whose mean NLL is asked for in the end. */
  text: { train: Int32Array; heldOut: Int32Array; check: Int32Array; window: number };
  /** Folder for hidden states and predictions; '' = in memory. */
  scratch: string;
  onProgress?: OnStage;
  /** Where an earlier run has come to; null: at its start. */
  saved: TuneState | null;
  /** Keeps where this one has come to. */
  save: (state: TuneState) => Promise<void>;
}

/** After some of the steps. */
export interface TuneState {
  /** Logarithms of the factors. */
  logs: Float64Array;
  adam: AdamState;
  /** Those of the least `heldOut` so far. */
  best: Float64Array;
  /** Mean KL(dense ‖ pruned) before every step, nats per token. */
  history: { divergence: number; heldOut: number }[];
}

/** Mean KL(dense ‖ pruned), nats per token. */
export interface Divergences {
  heldOut: number;
  /** Of the first step's windows, which were trained on. */
  trained: number;
}

export interface Tuned {
  /** Logarithms of the factors that stay; null: 1 was the best for all of them. */
  logs: Float64Array | null;
  /** Mean NLL of the check; null where the model is as it was. */
  expected: number | null;
  before: Divergences;
  after: Divergences;
  /** How many were made. */
  steps: number;
}

/** What a run says of it. */
export interface TuneReport extends Pick<Tuned, 'before' | 'after' | 'steps'> {
  tokens: number;
  seconds: number;
}

/** @throws StruPruneError ERR_NAN, ERR_BUDGET, ERR_SCRATCH, ERR_ABORTED */
export async function trainFactors(input: TrainInput): Promise<Tuned> {
  const { dense, places, scratch, save } = input;
  const { train, heldOut, check, window } = input.text;
  const { architecture } = dense;
  const blocks = architecture.blocks.length;
  const report = stageReporter(input.onProgress, 'tune', blocks * (2 * STEPS + 2));
  const state = input.saved ?? startOf(places.count);
  let read = 2 * blocks * state.history.length;
  const base = (message: string) => ({
    window,
    scratch,
    onBlock: (index: number) =>
      report(++read, `${message}, block ${index + 1} of ${blocks}`, index),
  });
  const withModel = async <T>(
    logs: Float64Array,
    message: string,
    use: (reading: Reading) => Promise<T>,
  ): Promise<T> => {
    const session = await input.ends(logs);
    const load = async (index: number) =>
      scaledBlock(await input.load(index), places.blocks[index], logs);
    try {
      return await use({ ...base(message), session, load });
    } finally {
      session.dispose();
    }
  };
  const windows = train.length / window;
  const lessons: Lesson[] = [];
  const hold = (lesson: Lesson) => {
    lessons.push(lesson);
    return lesson;
  };
  const denseReading = {
    ...base('the dense model'),
    session: dense,
    load: (index: number) => dense.loadBlock(index),
  };
  try {
    const ids = new Int32Array(train.length + heldOut.length);
    ids.set(train);
    ids.set(heldOut, train.length);
    const text = hold(await lessonOf(denseReading, ids));
    const held = Array.from({ length: heldOut.length / window }, (_, i) => windows + i);
    const exam = hold(await partOf(denseReading, text, held));
    const lessonOfStep = (step: number) => partOf(denseReading, text, windowsOf(step, windows));
    while (state.history.length < STEPS && !worsens(state)) {
      const step = state.history.length;
      const lesson = await lessonOfStep(step);
      const { gradient, ...measured } = await using(lesson.dense.mean, () =>
        withModel(state.logs, `step ${step + 1} of ${STEPS}`, (reading) =>
          gradientsOf(reading, places, lesson, exam),
        ),
      );
      if (measured.heldOut < leastOf(state)) state.best = state.logs.slice();
      state.history.push(measured);
      adamStep(state.logs, gradient, state.adam, rateOf(step, lesson.ids.length));
      await save(state);
    }
    const trained = hold(await lessonOfStep(0));
    return await choose(state, (logs, message) =>
      withModel(logs, message, (reading) =>
        measure(reading, [exam, trained], { ids: check, targets: nextTokens(check, window) }),
      ),
    );
  } finally {
    await disposeAll(lessons.map((lesson) => lesson.dense.mean));
  }
}

function startOf(count: number): TuneState {
  return {
    logs: new Float64Array(count),
    adam: adamState(count),
    best: new Float64Array(count),
    history: [],
  };
}

/** At even distances, so that a step sees all of the text; where there are fewer windows than steps, one after another. */
function windowsOf(step: number, windows: number): number[] {
  if (windows < STEPS) return [step % windows];
  const count = Math.ceil((windows - step) / STEPS);
  return Array.from({ length: count }, (_, i) => step + i * STEPS);
}

/** It falls to 0 evenly. */
function rateOf(step: number, tokens: number): number {
  return RATE.first * Math.sqrt(Math.min(1, tokens / RATE.tokens)) * (1 - step / STEPS);
}

function leastOf({ history }: Pick<TuneState, 'history'>): number {
  return Math.min(...history.map(({ heldOut }) => heldOut));
}

function worsens({ history }: TuneState): boolean {
  const least = leastOf({ history });
  const since = history.toReversed().findIndex(({ heldOut }) => heldOut === least);
  return since >= PATIENCE;
}

/** Measures what the last step came to, and takes it or the best of those before. */
async function choose(
  state: TuneState,
  measured: (
    logs: Float64Array,
    message: string,
  ) => Promise<{ divergences: number[]; meanNll: number }>,
): Promise<Tuned> {
  const { logs, best, history } = state;
  const { heldOut, divergence: trained } = history[0]!;
  const before = { heldOut, trained };
  const least = leastOf(state);
  const found = async (chosen: Float64Array, message: string): Promise<Tuned> => {
    const { divergences, meanNll } = await measured(chosen, message);
    const after = { heldOut: divergences[0]!, trained: divergences[1]! };
    return { logs: chosen, expected: meanNll, before, after, steps: history.length };
  };
  const last = await found(logs, 'the last step');
  if (last.after.heldOut < least) return last;
  if (least < heldOut) return found(best, 'the best step');
  return { ...last, logs: null, expected: null, after: before };
}
