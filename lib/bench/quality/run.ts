/** Every method on the same tokens: tokenise → dense reference → row by row → document. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { overlapWarning } from '../../calibration/corpus';
import type { TextOptions } from '../../calibration/text';
import {
  type BenchDocument,
  type BenchFailure,
  type BenchQuality,
  type BenchRow,
  rowSchema,
} from '../../documents/bench';
import { withEngine } from '../../engine/call';
import { type Engine, withBytes } from '../../engine/engine';
import { measureGemmRate } from '../../engine/gemm-rate';
import { asStruPruneError, type ErrorCode, StruPruneError } from '../../errors';
import { calibrationWindow, windowFor } from '../../measure/perplexity';
import type { ModelSource } from '../../model/architecture';
import { hashFiles } from '../../models/decoders/model-card';
import { type PruneOptions, type Settings, settingsOf } from '../../options';
import type { OnProgress } from '../../progress';
import { settingsInEffect } from '../../pruning/journal/identity';
import { Surveys, type SurveyUse } from '../../pruning/surveys';
import { splitText } from '../../pruning/texts';
import { sourceOf } from '../../source';
import { resolve as resolveRun } from '../../spec';
import { dtypeFor } from '../../spec/dtypes';
import { inTurns } from '../../turns';
import { documentOf, journalMachine, machineOf, modelOf, versions } from '../document';
import { keyOf } from '../journal';
import { inDocument, METHOD_ENTRIES, type MethodEntry, methodEntries } from '../methods';
import { withScratch } from '../scratch';
import { qualityCommand } from './command';
import { type QualityOptions, type QualitySettings, qualitySettings } from './options';
import { Reference } from './reference';
import { Results } from './results';
import { makeRow } from './row';
import { BenchShelf } from './shelf';
import { requireDistinct, type TokenisedText, tokenise } from './texts';

/** Faults that concern one row alone; after any other the run ends. */
const OF_A_ROW: readonly ErrorCode[] = [
  'ERR_ARGUMENT',
  'ERR_UNSUPPORTED',
  'ERR_NAN',
  'ERR_NUMERIC',
  'ERR_VERIFY',
  'ERR_BUDGET',
];

interface Job {
  entry: MethodEntry;
  sparsity: number;
  /** Of its row: a row holds as long as all settings in effect, defaults too, are the same. */
  key: string;
}

/** What rows are made of. */
interface Input {
  engine: Engine;
  source: ModelSource;
  settings: QualitySettings;
  /** With the text of rows that tune behind that of all. */
  calibration: TokenisedText;
}

interface Run extends Input {
  started: number;
  entries: readonly MethodEntry[];
  jobs: readonly Job[];
  texts: TokenisedText[];
  results: Results;
  onProgress: OnProgress | undefined;
}

/**
 * Prunes the checkpoint at `model` by every asked method to every asked sparsity and compares each written file
 * with the dense model. What is shared is made once: tokens, the dense model's states, surveys. Finished rows are
 * kept in `output`/rows.jsonl and surveys beside it, so that the same call goes on after an interruption; a row that cannot be made is
 * a failure in the document, not of the run.
 */
export async function benchQuality(model: string, options: QualityOptions): Promise<BenchDocument> {
  const started = performance.now();
  const settings = qualitySettings(options);
  const entries = methodEntries(settings.methods);
  requireDistinct(settings.eval);
  return withEngine(options, async (engine) => {
    const run = await openRun(engine, model, settings, entries, options, started);
    const failures: BenchFailure[] = [];
    try {
      await makeRows(run, failures);
    } catch (error) {
      await tellUnfinished(run, failures, options);
      throw error;
    }
    const rate = await measureGemmRate(engine, run.source.architecture, 'measuring');
    return whole(run, failures, options, rate);
  });
}

/** What ended the run is thrown after it, and not what may become of this. */
async function tellUnfinished(
  run: Run,
  failures: readonly BenchFailure[],
  options: QualityOptions,
): Promise<void> {
  try {
    await options.onUnfinished?.(await whole(run, failures, options, null));
  } catch {
    // The rows are in the journal.
  }
}

/** The document of what there is. */
async function whole(
  run: Run,
  failures: readonly BenchFailure[],
  options: QualityOptions,
  sgemmRate: number | null,
): Promise<BenchDocument> {
  const quality = await sectionOf(run, failures);
  // What the folder had before was asked for too.
  const settings = {
    ...run.settings,
    sparsities: quality.sparsities,
    methods: quality.methods.map(({ id }) => id),
  };
  const about = {
    command: qualityCommand(run.source.path, settings, options),
    machine: machineOf(run.engine, { sgemmRate }),
    seed: settings.seed,
    settings,
  };
  const document = documentOf(run.started, about, { quality });
  // Rows of earlier calls took their time as well.
  return { ...document, seconds: Math.max(document.seconds, secondsOf(quality)) };
}

function secondsOf({ dense, surveys, rows }: BenchQuality): number {
  const parts = [
    dense.seconds,
    ...surveys.map((survey) => survey.seconds),
    ...rows.map(({ seconds }) => seconds.solve + seconds.evaluate),
  ];
  return parts.reduce((sum, seconds) => sum + seconds, 0);
}

async function openRun(
  engine: Engine,
  model: string,
  given: QualitySettings,
  entries: readonly MethodEntry[],
  { signal, onProgress }: QualityOptions,
  started: number,
): Promise<Run> {
  const source = await sourceOf(model, { signal, onProgress }, engine);
  const { architecture } = source;
  // A default that a later version may choose otherwise is no default of what is kept.
  const dtype = dtypeFor(source, given).toLowerCase() as NonNullable<QualitySettings['dtype']>;
  const settings = { ...given, dtype };
  const window = calibrationWindow(architecture, settings.window);
  const evalWindow = windowFor(architecture, settings.evalWindow ?? window);
  const { bounded } = engine;
  const tuning = Math.max(...entries.map(({ options }) => options.tuneTokens ?? 0));
  const calibration = await calibrationText(source, settings, tuning, { window, bounded, signal });
  const jobs = jobsOf({ engine, source, settings, calibration }, entries);
  const texts: TokenisedText[] = [];
  for (const path of settings.eval) {
    const maxTokens = settings.evalTokens;
    texts.push(await tokenise(source, path, { window: evalWindow, maxTokens, bounded, signal }));
  }
  const { surveyTokens, scope, ffnSolver, format, multiple, seed } = settings;
  const results = await Results.open(
    settings.output,
    {
      version: versions().struprune,
      source: await hashFiles(source, signal),
      calibration: withoutPath(calibration),
      texts: texts.map(withoutPath),
      settings: { surveyTokens, scope, ffnSolver, format, dtype, multiple, seed },
      // Seconds are compared between rows.
      machine: {
        ...journalMachine(engine),
        memory: engine.budget,
        device: engine.device,
        ...(engine.device === 'cpu' ? {} : { precision: engine.precision }),
      },
    },
    settings.force,
  );
  return {
    started,
    engine,
    source,
    settings,
    entries,
    jobs,
    calibration,
    texts,
    results,
    onProgress,
  };
}

/** `about` is of those tokens that calibrate; `tuning` ones behind them are there too, as far as the text goes. */
async function calibrationText(
  source: ModelSource,
  { calibration, calibrationTokens }: QualitySettings,
  tuning: number,
  options: TextOptions,
): Promise<TokenisedText> {
  const maxTokens = calibrationTokens + tuning;
  const text = await tokenise(source, calibration, { ...options, maxTokens });
  const { ids } = splitText(text.ids, options.window, {
    calibration: calibrationTokens,
    tuning: 0,
    asked: true,
    measuring: 0,
  });
  return { ...text, about: { ...text.about, tokens: ids.length } };
}

/** The same text may have moved. */
function withoutPath({ about }: TokenisedText) {
  const { path, ...rest } = about;
  return rest;
}

/** Makes the rows that are not there yet; those that cannot be made become `failures`. */
async function makeRows(run: Run, failures: BenchFailure[]): Promise<void> {
  const { settings, jobs, results } = run;
  // A model that is to be kept is made, whether its row is known or not.
  const isThere = ({ entry, sparsity }: Job) =>
    !settings.keepModels || existsSync(rowOptions(run, entry, sparsity, '').output);
  const missing = jobs.filter((job) => !results.row(job.key) || !isThere(job));
  if (missing.length === 0) return;
  await withScratch(settings.scratch, (folder) => makeMissing(run, missing, folder, failures));
}

async function makeMissing(
  run: Run,
  missing: readonly Job[],
  folder: string,
  failures: BenchFailure[],
): Promise<void> {
  const { engine, source, settings, jobs, texts, results, onProgress } = run;
  const start = performance.now();
  const onStage = withBytes(engine, onProgress);
  const reference = await Reference.make(engine, source, texts, settings.scratch, onStage);
  const uses: SurveyUse[] = [];
  const shelf = new BenchShelf(results, engine, settings.scratch);
  const surveys = new Surveys((use) => uses.push(use), shelf);
  try {
    if (!results.dense) {
      const perplexities = await reference.perplexities();
      await results.addDense({ perplexities, seconds: (performance.now() - start) / 1000 });
    }
    let done = jobs.length - missing.length;
    for (const job of missing) {
      engine.throwIfAborted();
      uses.length = 0;
      const prefix = `row ${done + 1} of ${jobs.length}, ${nameOf(job)}`;
      try {
        const row = await makeRow({
          engine,
          model: source.path,
          entry: job.entry,
          options: rowOptions(run, job.entry, job.sparsity, folder),
          ids: run.calibration.ids,
          surveys,
          uses,
          reference,
          keepModel: settings.keepModels,
          onProgress: prefixed(onProgress, prefix),
        });
        await results.addRow(job.key, finite(row));
      } catch (error) {
        failures.push(failureOf(engine, job, error));
      }
      done++;
    }
  } finally {
    surveys.dispose();
    reference.dispose();
  }
}

/**
 * A refusal of one method will be a failure of its row; a share that every method refuses was not meant.
 * @throws StruPruneError ERR_ARGUMENT, ERR_UNSUPPORTED
 */
function jobsOf(input: Input, entries: readonly MethodEntry[]): Job[] {
  const { sparsities } = input.settings;
  const tried = entries.flatMap((entry) => sparsities.map((share) => tryJob(input, entry, share)));
  for (const share of sparsities) {
    const refusals = tried.filter(({ job }) => job.sparsity === share).map((one) => one.refusal);
    if (refusals.every((refusal) => refusal !== null)) throw refusals[0];
  }
  return tried.map(({ job }) => job);
}

function tryJob(input: Input, entry: MethodEntry, sparsity: number) {
  let settings: Settings = settingsOf(rowOptions(input, entry, sparsity, ''));
  let refusal: unknown = null;
  try {
    settings = resolveRun(input.source, settings).settings;
  } catch (error) {
    refusal = error;
  }
  const { tuneTokens, tuneMix } = settings;
  const key = keyOf({ id: entry.id, tuneTokens, tuneMix, settings: settingsInEffect(settings) });
  return { job: { entry, sparsity, key }, refusal };
}

function rowOptions(
  { settings, calibration }: Input,
  entry: MethodEntry,
  sparsity: number,
  folder: string,
): PruneOptions {
  const { surveyTokens, scope, ffnSolver, format, dtype, multiple, seed } = settings;
  const name = `${entry.id}-${sparsity}${format === 'gguf' ? '.gguf' : ''}`;
  const parent = settings.keepModels ? resolve(settings.output, 'models') : folder;
  return {
    calibration: settings.calibration,
    calibrationTokens: calibration.about.tokens,
    window: calibration.about.window,
    surveyTokens,
    scope,
    ffnSolver,
    format,
    dtype,
    multiple,
    seed,
    scratch: settings.scratch,
    ...entry.options,
    sparsity,
    output: join(parent, name),
    // Left by a run that was stopped after it.
    force: settings.keepModels,
  };
}

function nameOf({ entry, sparsity }: Job): string {
  return `${entry.id} ${Number((100 * sparsity).toFixed(2))} %`;
}

function prefixed(onProgress: OnProgress | undefined, prefix: string): OnProgress | undefined {
  return (
    onProgress &&
    ((progress) => onProgress({ ...progress, message: `${prefix}: ${progress.message}` }))
  );
}

/** JSON knows no other numbers. @throws StruPruneError ERR_NAN */
function finite(row: BenchRow): BenchRow {
  const issue = rowSchema.safeParse(row).error?.issues[0];
  if (!issue) return row;
  const what = `${issue.path.join('.')} is not a number: ${issue.message}`;
  throw new StruPruneError('ERR_NAN', what, 'remove less, or leave this method out');
}

/** What the row died of; rethrown where the run should not go on. */
function failureOf(engine: Engine, { entry, sparsity }: Job, error: unknown): BenchFailure {
  const reason = engine.translate(error);
  if (!(reason instanceof StruPruneError) || !OF_A_ROW.includes(reason.code)) throw reason;
  const { code, message } = asStruPruneError(reason);
  return { method: entry.id, sparsity, code, message };
}

async function sectionOf(run: Run, failures: readonly BenchFailure[]): Promise<BenchQuality> {
  const { source, settings, calibration, texts, results } = run;
  const jobs = withEarlier(run);
  const rows = jobs
    .map(({ key }) => results.row(key))
    .filter((row): row is BenchRow => row !== undefined);
  const used = new Set(rows.map((row) => row.survey));
  const ids = new Set([...run.entries, ...jobs.map(({ entry }) => entry)].map(({ id }) => id));
  return {
    model: modelOf(source),
    scope: settings.scope ?? 'default',
    ffnSolver: settings.ffnSolver ?? 'default',
    format: settings.format,
    dtype: settings.dtype!,
    calibration: calibration.about,
    texts: texts.map(({ about }) => about),
    dense: results.dense ?? { perplexities: [], seconds: 0 },
    sparsities: [...new Set([...settings.sparsities, ...jobs.map((job) => job.sparsity)])],
    methods: known(run)
      .filter(({ id }) => ids.has(id))
      .map(inDocument),
    rows,
    failures: [...failures],
    surveys: results.surveys.filter(({ key }) => used.has(key)),
    warnings: await warningsOf(run, rows, failures),
  };
}

/** The table's entries, and the caller's own that this call has. */
function known({ entries }: Run): MethodEntry[] {
  return [...new Set([...METHOD_ENTRIES, ...entries])];
}

/** The jobs of this call and those of earlier ones in the same folder that would be done in the same way today. */
function withEarlier(run: Run): Job[] {
  const entries = known(run);
  const asked = new Set(run.jobs.map(({ key }) => key));
  const earlier = [...run.results.rows].flatMap(([key, { method, sparsity }]) => {
    const entry = entries.find(({ id }) => id === method);
    if (asked.has(key) || !entry) return [];
    const { job } = tryJob(run, entry, sparsity);
    return job.key === key ? [job] : [];
  });
  const place = ({ entry }: Job) => entries.indexOf(entry);
  // Sorting keeps the order of a call's own.
  return [...run.jobs, ...earlier].sort((a, b) => place(a) - place(b));
}

async function warningsOf(
  { jobs, calibration, texts, results }: Run,
  rows: readonly BenchRow[],
  failures: readonly BenchFailure[],
): Promise<string[]> {
  const warnings: string[] = [];
  const left = jobs.filter(({ key }) => !results.row(key)).length - failures.length;
  if (left > 0) {
    warnings.push(`${left} of ${jobs.length} rows are not made yet: the same command goes on`);
  }
  if (results.damaged > 0) {
    warnings.push(`damaged lines of rows.jsonl, whose rows are made again: ${results.damaged}`);
  }
  const builds = new Set(rows.map(({ build }) => build ?? 'unknown')).size;
  if (builds > 1) {
    warnings.push(
      `${builds} builds of the program made these rows: what changed between them shows too`,
    );
  }
  for (const { about, ids } of texts) {
    const warning = await inTurns(overlapWarning(calibration.ids, ids));
    if (warning !== null) warnings.push(`${about.name}: ${warning}`);
  }
  return warnings;
}
