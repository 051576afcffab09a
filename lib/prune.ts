/** The main path: open → survey → allocate → solve block by block → tune → write → verify. */
import { overlapWarning } from './calibration/corpus';
import { tokenizerOf } from './calibration/text';
import { requireApart } from './checkpoint/apart';
import { copyFile, orAbort } from './checkpoint/atomic';
import { openGguf } from './checkpoint/gguf-model';
import { openCheckpoint } from './checkpoint/open';
import { requireName } from './checkpoint/output-path';
import { type Engine, withEngine } from './engine/engine';
import { native } from './engine/native';
import { AS_IS, Session } from './engine/session';
import { StruPruneError } from './errors';
import { evaluateIds } from './evaluate';
import { greedy } from './generate';
import type { ModelSource } from './model/architecture';
import { stageReporter } from './progress';
import { checkSurvey, decide } from './pruning/decide';
import { idleOptions } from './pruning/idle-options';
import { runIdentity } from './pruning/journal/identity';
import { Journal } from './pruning/journal/journal';
import { hashFiles, modelCard, provenance } from './pruning/model-card';
import { type PruneOptions, type Settings, settingsOf } from './pruning/options';
import { placesRead, placesWritten } from './pruning/places';
import type { PruneResult } from './pruning/result';
import { ridgeWarnings } from './pruning/ridge-warning';
import { openRun, type Run, type RunCalls, type Shared } from './pruning/run';
import { settingsUsed } from './pruning/settings-used';
import { planOutput } from './pruning/setup';
import { solveBlocks } from './pruning/solve-blocks';
import { bytesOf, summarise } from './pruning/summary';
import { mayReplace } from './pruning/survey-file';
import { Surveys } from './pruning/surveys';
import { tokenizerOutput } from './pruning/tokenizer-output';
import { type LoadBlock, tune } from './pruning/tuning';
import { openSink, writeTensors } from './pruning/write';
import { sourceOf } from './source';
import { inThread } from './tokenizer';
import { inTurns, turn } from './turns';

/** Largest difference of the last window's mean NLL between the run and the written file. */
const VERIFY_TOLERANCE = 1e-4;
const SAMPLE_TOKENS = 40;
const SAMPLE_PROMPT = 16;

/**
 * Prunes the checkpoint at `model` (Hugging Face folder or GGUF file) into `options.output`, which appears only
 * when it is whole. Same settings and seed, same bytes. The written file is opened again and must give the run's
 * own result. What is finished stands in a journal beside the output, with which `resume` goes on.
 * Throws StruPruneError (docs/errors.md), or the signal's reason when aborted.
 */
export async function prune(
  model: string | ModelSource,
  options: PruneOptions,
): Promise<PruneResult> {
  // As they are now: the call's turn on its engine may come much later.
  const settings = settingsOf(options);
  const idle = idleOptions(options, settings);
  const { signal, onProgress, onWarning: listener } = options;
  return withEngine(options, async (engine) => {
    const surveys = new Surveys();
    const onWarning = listener && engine.listeners.hear(listener);
    for (const warning of idle) onWarning?.(warning);
    try {
      const calls = { signal, onProgress, onWarning: listener };
      const result = await pruneOn(engine, model, settings, calls, { surveys, resumable: true });
      return { ...result, warnings: [...idle, ...result.warnings] };
    } finally {
      surveys.dispose();
    }
  });
}

/** prune() on an engine that is there; `shared` outlives the call. */
export async function pruneOn(
  engine: Engine,
  model: string | ModelSource,
  settings: Settings,
  calls: RunCalls,
  shared: Shared,
): Promise<PruneResult> {
  await turn();
  const { output, format, resume, force } = settings;
  requireName(output, format);
  const source = await sourceOf(model);
  await requireApart(placesWritten(settings), await placesRead(source, settings));
  const kind = format === 'hf' ? 'folder' : 'file';
  const journal = await Journal.open(output, kind, { resume, replace: force });
  try {
    return await pruneWith(journal, engine, source, settings, calls, shared);
  } catch (error) {
    const reason = engine.translate(error);
    if (shared.resumable) throw await journal.leave(reason);
    await journal.remove();
    throw reason;
  }
}

async function pruneWith(
  journal: Journal,
  engine: Engine,
  source: ModelSource,
  settings: Settings,
  calls: RunCalls,
  shared: Shared,
): Promise<PruneResult> {
  const { signal } = calls;
  const start = performance.now();
  const trafficBefore = engine.scratchTraffic;
  const run = await openRun(engine, source, settings, calls, shared, await journal.held());
  try {
    const hashes = await hashFiles(run.source, signal);
    const facts = { ...run, hashes };
    await journal.begin(runIdentity(facts), signal);
    for (const warning of journal.warnings) run.warn(warning);
    const ended = await journal.completed();
    let result = ended && endedBefore(run, ended);
    if (!result) {
      // What can be refused is refused before the first forward pass.
      const tokenizer = await tokenizerOutput(run.source, settings.format, signal);
      await checkSurvey(run, facts);
      const dense = await before(run, signal);
      const decision = await decide(run, journal, facts);
      if (settings.saveCalibration !== undefined) {
        const replace = mayReplace(settings.saveCalibration, settings);
        await copyFile(journal.surveyPath, settings.saveCalibration, { replace });
      }
      const plan = planOutput(run, decision.allocation.removed);
      const solved = await solveBlocks(run, journal, plan, decision);
      ridgeWarnings(solved.layerStats, settings.lambda).forEach(run.warn);
      const tuned = await tune(run, journal, plan);
      const sink = await openSink(plan, settings.output, {
        replace: settings.force,
        work: journal.folder,
        maxShardBytes: settings.maxShardBytes,
        tokenizer,
        provenance: provenance(run.source, settingsUsed(run), hashes),
      });
      result = await orAbort(sink, async () => {
        const write = (session: Session, load?: LoadBlock) =>
          writeTensors(session, plan, journal, sink, run.onProgress, load);
        const path = await (tuned ? tuned.lend(write) : write(run.session));
        const expected = tuned?.expected ?? solved.expected;
        const after = await verify(run, path, expected, dense.samplesBefore, signal);
        const summary = summarise(run, plan, decision.allocation, solved, after.bytesAfter);
        const known: PruneResult = {
          ...summary,
          ...after,
          perplexityBefore: dense.perplexityBefore,
          tuning: tuned?.report ?? null,
          warnings: run.warnings,
          seconds: (performance.now() - start) / 1000,
          peakRssBytes: native.peakRss(),
          peakBudgetBytes: native.memoryOf(engine.handle).peak,
          scratchTraffic: since(trafficBefore, engine.scratchTraffic),
          device: engine.device,
          peakDeviceBytes: native.gpuMemoryOf(engine.handle)?.peak ?? null,
        };
        engine.throwIfAborted();
        await journal.putResult(known, path);
        await sink.commit([{ name: 'README.md', text: modelCard(run.source, hashes, known) }]);
        return known;
      });
    }
    await journal.remove();
    return result;
  } finally {
    run.session.dispose();
  }
}

/** Settings of what is measured beside the work. */
const MEASURED = ['eval', 'evalTokens', 'evalWindow', 'samples'] as const;

/** The result of a run that had ended before, with this run's own warnings too. */
function endedBefore(run: Run, result: PruneResult): PruneResult {
  const used = settingsUsed(run);
  if (!MEASURED.every((key) => result.settings[key] === used[key])) {
    run.warn('this run had ended before: its output is what was measured then, on its own text');
  }
  return { ...result, warnings: [...new Set([...result.warnings, ...run.warnings])] };
}

function since(before: Engine['scratchTraffic'], now: Engine['scratchTraffic']) {
  return { read: now.read - before.read, written: now.written - before.written };
}

/** The dense model's perplexity and words; warns of an evaluation text that calibrates or tunes. */
async function before(run: Run, signal: AbortSignal | undefined) {
  const { evaluation, engine, source, settings } = run;
  signal?.throwIfAborted();
  const overlap = evaluation && (await inTurns(overlapWarning(run.text, evaluation.ids)));
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
async function perplexityOf(run: Run, session: Session): Promise<number | null> {
  const { evaluation, states: scratch, onProgress } = run;
  if (!evaluation) return null;
  const { ids, window } = evaluation;
  return (await evaluateIds(session, ids, { window, scratch, onProgress })).perplexity;
}

/** Opens what was written, still under its temporary name, and measures it. */
async function verify(
  run: Run,
  path: string,
  expected: number,
  samplesBefore: number[] | null,
  signal: AbortSignal | undefined,
) {
  const { engine, settings, ids, window, states: scratch, source } = run;
  const written = settings.format === 'gguf' ? await openGguf(path) : await openCheckpoint(path);
  const session = new Session(engine, written, AS_IS, settings.scratch);
  try {
    const last = ids.subarray(ids.length - window);
    const actual = (await evaluateIds(session, last, { window, scratch })).meanNll;
    if (!(Math.abs(actual - expected) <= VERIFY_TOLERANCE)) {
      throw new StruPruneError(
        'ERR_VERIFY',
        `the written checkpoint gives a mean NLL of ${actual} where the run had ${expected}`,
        'nothing was kept; please report this with the command',
      );
    }
    const perplexityAfter = await perplexityOf(run, session);
    let samples: PruneResult['samples'] = null;
    if (samplesBefore) {
      const ids = [samplePrompt(run), samplesBefore, await sampleOf(run, session)];
      const texts = await inThread('texts', { source: tokenizerOf(source), ids }, signal);
      samples = { prompt: texts[0]!, before: texts[1]!, after: texts[2]! };
    }
    const bytesAfter = bytesOf(written);
    return { verification: { expected, actual }, perplexityAfter, samples, bytesAfter };
  } finally {
    session.dispose();
  }
}

/** Under a budget blocks do not stay: pages would give way to them. */
function sampleOf(run: Run, session: Session): Promise<number[]> {
  const room = run.engine.bounded ? 0 : run.room;
  const report = stageReporter(run.onProgress, 'sample', SAMPLE_TOKENS);
  const onTokens = (tokens: number) => report(tokens, `${tokens} tokens of ${SAMPLE_TOKENS}`);
  return greedy(session, samplePrompt(run), SAMPLE_TOKENS, { room, onTokens });
}

function samplePrompt({ evaluation, ids }: Run): number[] {
  return [...(evaluation?.ids ?? ids).subarray(0, SAMPLE_PROMPT)];
}
