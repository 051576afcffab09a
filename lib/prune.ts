/** The main path: open → survey → allocate → solve block by block → tune → write → verify. */
import { requireApart } from './checkpoint/apart';
import { orAbort } from './checkpoint/atomic';
import { codeWarnings } from './checkpoint/code-references';
import { requireName } from './checkpoint/output-path';
import { type Engine, withEngine } from './engine/engine';
import { native } from './engine/native';
import type { ModelSource } from './model/architecture';
import { optionsThat, type PruneOptions, type Settings, settingsOf } from './options';
import { idleOptions } from './options/idle';
import { Journal } from './pruning/journal/journal';
import { measureBefore, ruinWarning } from './pruning/measured';
import { hashFiles, modelCard } from './pruning/model-card';
import { placesRead, placesWritten } from './pruning/places';
import type { PruneResult } from './pruning/result';
import { openRun, type Run, type RunCalls, type Shared } from './pruning/run';
import { settingsUsed } from './pruning/settings-used';
import { Surveys } from './pruning/surveys';
import { tokenizerOutput } from './pruning/tokenizer-output';
import { sourceOf } from './source';
import { allocate } from './stages/allocate';
import { solve } from './stages/solve';
import { take, type Work } from './stages/stage';
import { summarise } from './stages/summary';
import { requireKnownSurvey, saveSurvey, survey } from './stages/survey';
import { tune } from './stages/tune';
import { verify } from './stages/verify';
import { write } from './stages/write';
import { turn } from './turns';

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
  const source = await sourceOf(model, calls, engine);
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
  const start = performance.now();
  const trafficBefore = engine.scratchTraffic;
  const run = await openRun(engine, source, settings, calls, shared, await journal.held());
  try {
    const hashes = await hashFiles(source, run.signal);
    const work: Work = { ...run, journal, hashes };
    await journal.begin(solve.identity(work), run.signal);
    for (const warning of journal.warnings) run.warn(warning);
    const ended = await journal.completed();
    const result = ended ? endedBefore(run, ended) : await takeStages(work, start, trafficBefore);
    await journal.remove();
    return result;
  } finally {
    run.session.dispose();
  }
}

/** `start` and `trafficBefore`: of the run. */
async function takeStages(
  work: Work,
  start: number,
  trafficBefore: Engine['scratchTraffic'],
): Promise<PruneResult> {
  const { engine, journal, source, settings, hashes } = work;
  // What can be refused is refused before the first forward pass.
  const tokenizer = await tokenizerOutput(source, settings.format, work.signal);
  await requireKnownSurvey(work);
  const { perplexityBefore, samplesBefore } = await measureBefore(work);
  const measured = await take(survey, work, null);
  const decision = await take(allocate, work, measured);
  await saveSurvey(work);
  codeWarnings([...decision.plan.dropped, ...tokenizer.dropped]).forEach(work.warn);
  const solved = await take(solve, work, decision);
  const { plan, allocation } = decision;
  const tuned = await take(tune, work, { plan });
  const { sink, path } = await take(write, work, { plan, tuned, tokenizer });
  return orAbort(sink, async () => {
    const expected = tuned?.expected ?? solved.expected;
    const after = await take(verify, work, { path, expected, samplesBefore });
    const ruin = ruinWarning(perplexityBefore, after.perplexityAfter);
    if (ruin !== null) work.warn(ruin);
    const result: PruneResult = {
      ...summarise(work, plan, allocation, solved, after.bytesAfter),
      ...after,
      perplexityBefore,
      measuredOn: work.evaluation?.name ?? null,
      tuning: tuned?.report ?? null,
      warnings: work.warnings,
      seconds: (performance.now() - start) / 1000,
      peakRssBytes: native.peakRss(),
      peakBudgetBytes: native.memoryOf(engine.handle).peak,
      scratchTraffic: since(trafficBefore, engine.scratchTraffic),
      device: engine.device,
      peakDeviceBytes: native.gpuMemoryOf(engine.handle)?.peak ?? null,
    };
    engine.throwIfAborted();
    await journal.putResult(result, path);
    await sink.commit([{ name: 'README.md', text: modelCard(source, hashes, result) }]);
    return result;
  });
}

/** The result of a run that had ended before, with this run's own warnings too. */
function endedBefore(run: Run, result: PruneResult): PruneResult {
  const used = settingsUsed(run);
  if (!optionsThat(['measured']).every((key) => result.settings[key] === used[key])) {
    run.warn('this run had ended before: its output is what was measured then, on its own text');
  }
  return { ...result, warnings: [...new Set([...result.warnings, ...run.warnings])] };
}

function since(before: Engine['scratchTraffic'], now: Engine['scratchTraffic']) {
  return { read: now.read - before.read, written: now.written - before.written };
}
