/** The main path: open → survey → allocate → solve block by block → tune → write → verify. */
import { requireApart } from './checkpoint/apart';
import { orAbort } from './checkpoint/atomic';
import { codeWarnings } from './checkpoint/code-references';
import { requireName } from './checkpoint/output-path';
import { withEngine } from './engine/call';
import type { Engine } from './engine/engine';
import { native } from './engine/native';
import type { ModelSource } from './model/architecture';
import { Decoder } from './models/decoders/front-end';
import {
  growthOf,
  growthWarnings,
  measureAfter,
  measureBefore,
  unfitWarning,
} from './models/decoders/measured';
import { type Hashes, hashFiles, modelCard } from './models/decoders/model-card';
import type { Order } from './models/decoders/orders';
import { placesRead, placesWritten } from './models/decoders/places';
import { openRun, type Run, type RunCalls, type Shared } from './models/decoders/run';
import { settingsUsed } from './models/decoders/settings-used';
import { summarise } from './models/decoders/summary';
import { tokenizerOutput } from './models/decoders/tokenizer-output';
import { optionsThat, type PruneOptions, type Settings, settingsOf } from './options';
import { helpPrune, requireAlike, stagesOfRanks } from './prune-ranks';
import { runIdentity, surveyIdentity } from './pruning/journal/identity';
import { Journal } from './pruning/journal/journal';
import type { PruneResult } from './pruning/result';
import { Surveys } from './pruning/surveys';
import { sourceOf } from './source';
import { planOutput } from './spec/planned';
import { allocate } from './stages/allocate';
import { confidenceOf } from './stages/confidence';
import { solve } from './stages/solve';
import { take, type Work } from './stages/stage';
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
  const { signal, onProgress, onWarning } = options;
  const call = async (engine: Engine) => {
    const surveys = new Surveys();
    try {
      const calls = { signal, onProgress, onWarning };
      const result = await pruneOn(engine, model, settings, calls, { surveys, resumable: true });
      await engine.team.ask({ task: 'end', result } satisfies Order);
      return result;
    } finally {
      surveys.dispose();
    }
  };
  return withEngine(options, call, { shared: true });
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
  const source = await engine.team.first(() => sourceOf(model, calls, engine));
  await requireApart(placesWritten(settings), await placesRead(source, settings));
  if (engine.team.rank > 0) return helpPrune(engine, source, settings, calls, shared);
  const kind = format === 'hf' ? 'folder' : 'file';
  const journal = await Journal.open(output, kind, { resume, replace: force });
  try {
    return await pruneWith(journal, engine, source, settings, calls, shared);
  } catch (error) {
    const reason = engine.translate(await engine.team.causeOf(error));
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
    await requireAlike(run);
    const hashes = await hashFiles(source, run.signal);
    await journal.begin(runIdentity({ ...run, hashes }), run.signal);
    for (const warning of journal.warnings) run.warn(warning);
    const ended = await journal.completed();
    const result = ended
      ? endedBefore(run, ended)
      : await takeStages(run, journal, hashes, start, trafficBefore);
    await journal.remove();
    return result;
  } finally {
    run.session.dispose();
  }
}

/** `start` and `trafficBefore`: of the run. */
async function takeStages(
  run: Run,
  journal: Journal,
  hashes: Hashes,
  start: number,
  trafficBefore: Engine['scratchTraffic'],
): Promise<PruneResult> {
  const { engine, source, settings } = run;
  // What can be refused is refused before the first forward pass.
  const tokenizer = await tokenizerOutput(source, settings.format, run.signal);
  const facts = { ...run, hashes };
  const work: Work = {
    ...run,
    network: new Decoder({ ...facts, journal, tokenizer }),
    journal,
    identity: surveyIdentity(facts),
    scratch: settings.scratch,
  };
  await requireKnownSurvey(work);
  let measuringSeconds = 0;
  const measuring = async <T>(measure: () => Promise<T>): Promise<T> => {
    const from = performance.now();
    const found = await measure();
    measuringSeconds += (performance.now() - from) / 1000;
    return found;
  };
  const before = await measuring(() => measureBefore(run));
  const unfit = unfitWarning(before.perplexityBefore, source.architecture.vocab);
  if (unfit !== null) run.warn(unfit);
  const measured = await take(survey, work, null);
  const decision = await take(allocate, work, measured);
  await saveSurvey(work, settings);
  const { allocation, shrinking, search } = decision;
  const confidence = await confidenceOf(work, allocation.removed);
  const plan = planOutput(run, allocation.removed);
  codeWarnings([...plan.dropped, ...tokenizer.dropped]).forEach(run.warn);
  const solved = await take(solve, work, decision);
  const tuned = await take(tune, work, shrinking);
  const written = await take(write, work, shrinking);
  return orAbort(written, async () => {
    const { path } = written;
    const expected = tuned?.expected ?? solved.expected;
    const verification = await take(verify, work, { path, expected });
    const after = await measuring(() => measureAfter(run, path, before));
    growthWarnings(growthOf(run, before, after)).forEach(run.warn);
    const result: PruneResult = {
      ...summarise(run, plan, allocation, solved, after.bytesAfter),
      ...after,
      ...{ search, confidence },
      verification,
      perplexityBefore: before.perplexityBefore,
      measuredOn: run.evaluation?.name ?? null,
      tuning: tuned?.report ?? null,
      warnings: run.warnings,
      seconds: (performance.now() - start) / 1000,
      measuringSeconds,
      peakRssBytes: native.peakRss(),
      peakBudgetBytes: engine.memory.peak,
      scratchTraffic: since(trafficBefore, engine.scratchTraffic),
      device: engine.device,
      ranks: await stagesOfRanks(run),
      peakDeviceBytes: engine.gpuMemory?.peak ?? null,
    };
    engine.throwIfAborted();
    await journal.putResult(result, path);
    await written.commit([{ name: 'README.md', text: modelCard(source, hashes, result) }]);
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
