/** What is measured beside the work: perplexity and words, of the dense model and of the output. */
import { overlapWarning } from '../calibration/corpus';
import { AS_IS, Session } from '../engine/session';
import { greedy } from '../measure/generate';
import { evaluateIds } from '../measure/perplexity';
import { stageReporter } from '../progress';
import { inTurns } from '../turns';
import type { Run } from './run';

const SAMPLE_TOKENS = 40;
const SAMPLE_PROMPT = 16;

export interface Before {
  perplexityBefore: number | null;
  /** Token ids; null where none were asked for. */
  samplesBefore: number[] | null;
}

/** Of the dense model; warns of an evaluation text that calibrates or tunes. */
export async function measureBefore(run: Run): Promise<Before> {
  const { evaluation, engine, source, settings, signal } = run;
  signal?.throwIfAborted();
  const overlap =
    settings.eval && evaluation && (await inTurns(overlapWarning(run.text, evaluation.ids)));
  if (overlap) run.warn(overlap);
  const dense = new Session(engine, source, AS_IS, settings.scratch);
  try {
    const perplexityBefore = await perplexityOf(run, dense);
    const samplesBefore = settings.samples ? await sampleOf(run, dense) : null;
    return { perplexityBefore, samplesBefore };
  } finally {
    dense.dispose();
  }
}

/** On the run's evaluation text; null without one. */
export async function perplexityOf(run: Run, session: Session): Promise<number | null> {
  const { evaluation, states: scratch, onProgress } = run;
  if (!evaluation) return null;
  const { ids, window } = evaluation;
  return (await evaluateIds(session, ids, { window, scratch, onProgress })).perplexity;
}

/** How many times as high a perplexity may be without a warning. */
const RUIN = 2;

/** Of a model that is of little use as it is; null of others, and where nothing was measured. */
export function ruinWarning(before: number | null, after: number | null): string | null {
  if (before === null || after === null || after <= RUIN * before) return null;
  return (
    `the perplexity is ${(after / before).toFixed(1)} times what it was: remove less, calibrate on more text of the kind that the model ` +
    'is for (--calibration-tokens), or fine-tune the result (examples/recover)'
  );
}

/** Under a budget blocks do not stay: pages would give way to them. */
export function sampleOf(run: Run, session: Session): Promise<number[]> {
  const room = run.engine.bounded ? 0 : run.room;
  const report = stageReporter(run.onProgress, 'sample', SAMPLE_TOKENS);
  const onTokens = (tokens: number) => report(tokens, `${tokens} tokens of ${SAMPLE_TOKENS}`);
  return greedy(session, samplePrompt(run), SAMPLE_TOKENS, { room, onTokens });
}

export function samplePrompt({ evaluation, ids }: Run): number[] {
  return [...(evaluation?.ids ?? ids).subarray(0, SAMPLE_PROMPT)];
}
