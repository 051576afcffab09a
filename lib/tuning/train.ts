/**
 * Tunes what the solve left (docs/method.md, section 9): factors of kept channels, of the inputs of o, of norms and of
 * output biases go down the gradient of KL(dense ‖ pruned), on text that calibrated nothing. They stay where windows held
 * out came closer to the dense model.
 */
import { disposeAll, using } from '../engine/owned';
import { nextTokens, type Session } from '../engine/session';
import { type OnStage, stageReporter } from '../progress';
import { inTurns } from '../turns';
import { type AdamState, adamState, adamStep } from './adam';
import {
  type ChangeGradient,
  type ChangeState,
  type ChangeStore,
  fillFirst,
  stateMemory,
  stepChanges,
} from './changes';
import {
  gradientsOf,
  type Lesson,
  type LoadBlock,
  lessonOf,
  measure,
  partOf,
  type Reading,
} from './passes';
import { type TunedPlaces, type Tuning, tunedBlock } from './tuning';

/** Two readings of the model each; with the dense model's and those that measure before and after, 39. */
export const STEPS = 18;
/**
 * Of the logarithms, at first: so much of the divergence of the windows held out, with steps of so many tokens; fewer scatter more, and the
 * rate goes by the root of their number (arXiv 2205.10287). docs/decisions/0028.
 */
const RATE = { ofDivergence: 0.045, most: 0.02, tokens: 4096 };

export interface TrainInput {
  /** As its file has it. */
  dense: Session;
  /** Of the pruned model as it was solved. */
  load: LoadBlock;
  /** A session of the pruned model's ends with these factors; the receiver disposes of it. */
  ends: (logs: Float64Array) => Promise<Session>;
  places: TunedPlaces;
  /** Of the changes; what it holds of steps behind `saved` is made again. */
  store: ChangeStore;
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
  /** Mean KL(dense ‖ pruned), nats per token: of the windows held out before the first step. */
  heldOut: number;
  /** Of the windows of every step, before it. */
  trained: number[];
}

/** Mean KL(dense ‖ pruned), nats per token. */
export interface Divergences {
  heldOut: number;
  /** Of the first step's windows, which were trained on. */
  trained: number;
}

export interface Tuned {
  /** What it came to; null: the windows held out came no closer, so the model stays as it was solved. */
  tuning: Tuning | null;
  /** Mean NLL of the check; null where the model is as it was. */
  expected: number | null;
  before: Divergences;
  after: Divergences;
}

/** What a run says of it. */
export interface TuneReport extends Pick<Tuned, 'before' | 'after'> {
  tokens: number;
  /** Of those, of this package's mixed text. */
  mixTokens: number;
  seconds: number;
}

/** @throws StruPruneError ERR_NAN, ERR_BUDGET, ERR_SCRATCH, ERR_ABORTED */
export async function trainModel(input: TrainInput): Promise<Tuned> {
  const { dense, places, store, scratch, save } = input;
  const { train, heldOut, check, window } = input.text;
  const { architecture } = dense;
  const blocks = architecture.blocks.length;
  const report = stageReporter(input.onProgress, 'tune', blocks * (2 * STEPS + 3));
  let read = 0;
  const base = (message: string) => ({
    window,
    scratch,
    onBlock: (index: number) =>
      report(++read, `${message}, block ${index + 1} of ${blocks}`, index),
  });
  // Of the block at hand, which a step back asks for three times.
  let atHand: { block: number; steps: number; state: ChangeState } | null = null;
  const memoryOf = stateMemory(places.changes);
  const stateOf = async (block: number, steps: number): Promise<ChangeState> => {
    if (atHand?.block === block && atHand.steps === steps) return atHand.state;
    atHand = null;
    const state = memoryOf(places.changes[block]!);
    if (steps === 0) fillFirst(state, block, places.changes[block]!);
    else await store.read(block, steps, state);
    atHand = { block, steps, state };
    return state;
  };
  const tuningOf = ({
    logs,
    trained: { length },
  }: Pick<TuneState, 'logs' | 'trained'>): Tuning => ({
    ...places,
    logs,
    valuesOf: async (block) => (await stateOf(block, length)).values,
  });
  const withModel = async <T>(
    tuning: Tuning,
    message: string,
    use: (reading: Reading) => Promise<T>,
  ): Promise<T> => {
    const session = await input.ends(tuning.logs);
    const load = async (index: number) => tunedBlock(await input.load(index), index, tuning);
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
    const measured = (tuning: Tuning, message: string, asked: Lesson[]) =>
      withModel(tuning, message, (reading) =>
        measure(reading, asked, { ids: check, targets: nextTokens(check, window) }),
      );
    const start = startOf(places.factors.count);
    const state = input.saved ?? {
      ...start,
      heldOut: (await measured(tuningOf(start), 'as it was solved', [exam])).divergences[0]!,
    };
    if (input.saved) {
      read = blocks * (2 + 2 * state.trained.length);
      report(read, `${state.trained.length} of ${STEPS} steps are in the journal`, undefined, true);
    }
    while (state.trained.length < STEPS) {
      const step = state.trained.length;
      const lesson = await lessonOfStep(step);
      const tuning = tuningOf(state);
      // Of the calibration text alone: another that trains beside it diverges more.
      const rate = rateOf(state.heldOut, step, lesson.ids.length);
      const learn = async (block: number, gradient: ChangeGradient) => {
        const state = await stateOf(block, step);
        atHand = null; // changed in place
        await inTurns(stepChanges(places.changes[block]!, state, gradient, step, rate));
        await store.write(block, step + 1, state);
      };
      const { divergence, gradient } = await using(lesson.dense.mean, () =>
        withModel(tuning, `step ${step + 1} of ${STEPS}`, (reading) =>
          gradientsOf(reading, tuning, lesson, learn),
        ),
      );
      await inTurns(adamStep(state.logs, gradient, state.adam, rate));
      state.trained.push(divergence);
      await save(state);
    }
    const first = hold(await lessonOfStep(0));
    const tuned = tuningOf(state);
    const { divergences, meanNll } = await measured(tuned, 'what they came to', [exam, first]);
    const before = { heldOut: state.heldOut, trained: state.trained[0]! };
    const after = { heldOut: divergences[0]!, trained: divergences[1]! };
    return after.heldOut < before.heldOut
      ? { tuning: tuned, expected: meanNll, before, after }
      : { tuning: null, expected: null, before, after: before };
  } finally {
    await disposeAll(lessons.map((lesson) => lesson.dense.mean));
  }
}

function startOf(count: number): Omit<TuneState, 'heldOut'> {
  return { logs: new Float64Array(count), adam: adamState(count), trained: [] };
}

/** At even distances, so that a step sees all of the text; where there are fewer windows than steps, one after another. */
function windowsOf(step: number, windows: number): number[] {
  if (windows < STEPS) return [step % windows];
  const count = Math.ceil((windows - step) / STEPS);
  return Array.from({ length: count }, (_, i) => step + i * STEPS);
}

/** Of a step of so many tokens, from 0: it falls to 0 evenly. `divergence`: of the windows held out, before the first one. */
function rateOf(divergence: number, step: number, tokens: number): number {
  const first = Math.min(RATE.most, RATE.ofDivergence * divergence);
  return first * Math.sqrt(Math.min(1, tokens / RATE.tokens)) * (1 - step / STEPS);
}
