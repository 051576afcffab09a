/** What is measured beside the work: perplexity and words, of the dense model and of the output. */
import { statSync } from 'node:fs';
import { overlapWarning } from '../../calibration/corpus';
import { tokenizerOf } from '../../calibration/text';
import { openGguf } from '../../checkpoint/gguf-model';
import { openCheckpoint } from '../../checkpoint/open';
import { AS_IS, Session } from '../../engine/session';
import { greedy } from '../../measure/generate';
import { evaluateIds } from '../../measure/perplexity';
import type { ModelSource } from '../../model/architecture';
import { stageReporter } from '../../progress';
import type { PruneResult } from '../../pruning/result';
import { inThread } from '../../tokenizer';
import { inTurns } from '../../turns';
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

export interface After extends Pick<PruneResult, 'perplexityAfter' | 'samples'> {
  /** Bytes of the weight files. */
  bytesAfter: number;
}

/** Of the output, still at `path`. */
export function measureAfter(
  run: Run,
  path: string,
  samplesBefore: Before['samplesBefore'],
): Promise<After> {
  return withWritten(run, path, async (session) => ({
    perplexityAfter: await perplexityOf(run, session),
    samples: samplesBefore && (await samplesOf(run, session, samplesBefore)),
    bytesAfter: bytesOf(session.source),
  }));
}

/** Opens what was written, for `use` alone. */
export async function withWritten<T>(
  { engine, settings }: Run,
  path: string,
  use: (session: Session) => Promise<T>,
): Promise<T> {
  const written = settings.format === 'gguf' ? await openGguf(path) : await openCheckpoint(path);
  const session = new Session(engine, written, AS_IS, settings.scratch);
  try {
    return await use(session);
  } finally {
    session.dispose();
  }
}

export function bytesOf(source: ModelSource): number {
  return source.files.reduce((sum, file) => sum + statSync(file).size, 0);
}

async function samplesOf(run: Run, session: Session, before: number[]) {
  const ids = [samplePrompt(run), before, await sampleOf(run, session)];
  const texts = await inThread('texts', { source: tokenizerOf(run.source), ids }, run.signal);
  return { prompt: texts[0]!, before: texts[1]!, after: texts[2]! };
}

/** On the run's evaluation text; null without one. */
async function perplexityOf(run: Run, session: Session): Promise<number | null> {
  const { evaluation, states: scratch, onProgress } = run;
  if (!evaluation) return null;
  const { ids, window } = evaluation;
  return (await evaluateIds(session, ids, { window, scratch, onProgress })).perplexity;
}

/** How many times the vocabulary, which is the perplexity of a guess, may be without a warning: models of random weights come to a few. */
const UNFIT = 10;

/** Of a dense model that a text means nothing to; null of others, and where nothing was measured. */
export function unfitWarning(before: number | null, vocab: number): string | null {
  if (before === null || before <= UNFIT * vocab) return null;
  return (
    `the model itself, before pruning, has a perplexity of ${Math.round(before).toLocaleString('en')} on this text, and guesses among its ${vocab.toLocaleString('en')} ` +
    'tokens would have less: give text of the kind that it was trained on (--calibration, --eval), and a --window no longer than its own'
  );
}

/** How many times as high a perplexity may be without a warning. */
const RUIN = 2;

/** Of a model that is of little use as it is; null of others, and where nothing was measured. */
export function ruinWarning(before: number | null, after: number | null): string | null {
  if (before === null || after === null || after <= RUIN * before) return null;
  return (
    `the perplexity is ${(after / before).toFixed(1)} times what it was: remove less, calibrate on more text of the kind that the model ` +
    'is for (--calibration-tokens), or fine-tune the result'
  );
}

/** Under a budget blocks do not stay: pages would give way to them. */
function sampleOf(run: Run, session: Session): Promise<number[]> {
  const room = run.engine.bounded ? 0 : run.room;
  const report = stageReporter(run.onProgress, 'sample', SAMPLE_TOKENS);
  const onTokens = ({ length }: number[]) => report(length, `${length} tokens of ${SAMPLE_TOKENS}`);
  return greedy(session, samplePrompt(run), SAMPLE_TOKENS, { room, onTokens });
}

function samplePrompt({ evaluation, ids }: Run): number[] {
  return [...(evaluation?.ids ?? ids).subarray(0, SAMPLE_PROMPT)];
}
