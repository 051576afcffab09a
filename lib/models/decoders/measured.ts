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
import { lastWindows } from '../../pruning/texts';
import { inThread } from '../../tokenizer';
import { inTurns } from '../../turns';
import type { Run } from './run';

const SAMPLE_TOKENS = 40;
const SAMPLE_PROMPT = 16;

export interface Before {
  perplexityBefore: number | null;
  /** Of windows that calibrate; null where none does. */
  calibratedBefore: number | null;
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
    const calibratedBefore = await ofCalibrated(run, dense);
    const samplesBefore = settings.samples ? await sampleOf(run, dense) : null;
    return { perplexityBefore, calibratedBefore, samplesBefore };
  } finally {
    dense.dispose();
  }
}

export interface After
  extends Pick<PruneResult, 'perplexityAfter' | 'perplexityCalibrated' | 'samples'> {
  /** Bytes of the weight files. */
  bytesAfter: number;
}

/** Of the output, still at `path`. */
export function measureAfter(
  run: Run,
  path: string,
  { calibratedBefore: before, samplesBefore }: Before,
): Promise<After> {
  return withWritten(run, path, async (session) => ({
    perplexityAfter: await perplexityOf(run, session),
    perplexityCalibrated:
      before === null ? null : { before, after: (await ofCalibrated(run, session))! },
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

/** On the last windows that calibrate; null where the text decides nothing. */
async function ofCalibrated(
  { gather, ids, window, states: scratch }: Run,
  session: Session,
): Promise<number | null> {
  if (gather.statistics === 'none') return null;
  const last = lastWindows(ids, window);
  return (await evaluateIds(session, last, { window, scratch })).perplexity;
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

/** How many times as high the perplexities are as they were. */
export interface Growth {
  /** Of the text that measures; `heldOut`: it is of the text that calibrates, and calibrated nothing. */
  measured: number;
  heldOut: boolean;
  /** Of windows that calibrated, and so many tokens of them; null where none did. */
  calibrated: { times: number; tokens: number } | null;
}

/** 1 where nothing was measured. */
export function growthOf(
  { evaluation, ids, window }: Run,
  { perplexityBefore }: Before,
  { perplexityAfter, perplexityCalibrated }: After,
): Growth {
  const measured = perplexityBefore && perplexityAfter ? perplexityAfter / perplexityBefore : 1;
  const calibrated = perplexityCalibrated && {
    times: perplexityCalibrated.after / perplexityCalibrated.before,
    tokens: lastWindows(ids, window).length,
  };
  return { measured, heldOut: evaluation?.heldOut ?? false, calibrated };
}

/** Of models that are of little use as they are, or that have learnt their calibration text by heart. */
export function growthWarnings({ measured, heldOut, calibrated }: Growth): string[] {
  const warnings: string[] = [];
  if (measured > RUIN) {
    warnings.push(
      `the perplexity is ${measured.toFixed(1)} times what it was: remove less, calibrate on more text of the kind that the model ` +
        'is for (--calibration-tokens), or fine-tune the result',
    );
  }
  if (!heldOut || calibrated === null || calibrated.tokens < PARTED.tokens) return warnings;
  const { times } = calibrated;
  if (Math.log(measured) > Math.max(PARTED.least, PARTED.times * Math.log(times))) {
    warnings.push(
      `windows that calibrated lost less than others of their text: their perplexity is ${times.toFixed(2)} times what it was, that of the others ` +
        `${measured.toFixed(2)} times: more of it (--calibration-tokens) would bring them closer`,
    );
  }
  return warnings;
}

/** Losses in nats: one held out may be so many times the other without a warning, or so large; of fewer tokens both are chance. */
const PARTED = { times: 2, least: 0.05, tokens: 2048 };

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
