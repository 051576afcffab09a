/** The main path: open → survey → allocate → solve and write block by block → verify. */
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { allocate, type JointAllocation } from './allocation';
import { overlapWarning } from './calibration/corpus';
import { readWindows, tokenizerOf } from './calibration/text';
import { copyFile, orAbort } from './checkpoint/atomic';
import type { ExportPlan } from './checkpoint/export';
import { openGguf } from './checkpoint/gguf-model';
import { openCheckpoint } from './checkpoint/open';
import { requireReplaceable } from './checkpoint/output-path';
import { type Engine, using, withEngine } from './engine/engine';
import { GpuSites } from './engine/gpu-sites';
import { type BlockHandle, native, type Site } from './engine/native';
import { nextTokens, Session, SITES } from './engine/session';
import { StruPruneError } from './errors';
import { evaluateIds, windowFor } from './evaluate';
import { greedy } from './generate';
import type { SiteStatistics } from './methods';
import type { Architecture, ModelSource } from './model/architecture';
import {
  type BlockKeep,
  linearParameters,
  prunedArchitecture,
  totalParameters,
} from './model/groups';
import { type OnProgress, stageReporter } from './progress';
import { loadFinished, putBlock } from './pruning/journal/blocks';
import { type RunFacts, runIdentity, surveyIdentity } from './pruning/journal/identity';
import { Journal } from './pruning/journal/journal';
import { hashFiles, modelCard, provenance } from './pruning/model-card';
import { type PruneOptions, type Settings, settingsOf } from './pruning/options';
import { replayBlock } from './pruning/replay';
import type { LayerResult, LayerStats, PruneResult } from './pruning/result';
import { requireRoom } from './pruning/room';
import {
  budgetOf,
  planInput,
  planOutput,
  requireNoSliding,
  type Setup,
  setUp,
  surveys,
  uniformAllocation,
} from './pruning/setup';
import {
  fingerprint,
  type SitePlan,
  type SolveContext,
  type Streams,
  solveSite,
  solvesSequentially,
} from './pruning/solve';
import { curvesFromScores, type Survey } from './pruning/survey';
import { type Measured, readSurvey, writeSurvey } from './pruning/survey-file';
import { Surveys } from './pruning/surveys';
import { tokenizerOutput } from './pruning/tokenizer-output';
import { allocationLayers, blockKeep, type Layer, layerAt } from './pruning/widths';
import { openSink, writeTensors } from './pruning/write';
import { loadTokenizer } from './tokenizer';

/** Largest difference of the last window's mean NLL between the run and the written file. */
const VERIFY_TOLERANCE = 1e-4;
const SAMPLE_TOKENS = 40;
const SAMPLE_PROMPT = 16;

interface Run extends Setup {
  engine: Engine;
  /** Calibration tokens, whole windows. */
  ids: Int32Array;
  evaluation: { ids: Int32Array; window: number } | null;
  session: Session;
  surveys: Surveys;
  /** Folder for hidden states; '' = in memory. */
  states: string;
  onProgress: OnProgress | undefined;
}

/** What several runs of one model on one calibration text share, each made once (lib/bench). */
export interface Shared {
  /** Calibration tokens, whole windows; as `settings` ask for them where left out. */
  ids?: Int32Array;
  surveys: Surveys;
  /** Whether a run that ends early leaves its journal. */
  resumable: boolean;
}

/**
 * Prunes the checkpoint at `model` (Hugging Face folder or GGUF file) into `options.output`, which appears only
 * when it is whole. Same settings and seed, same bytes. The written file is opened again and must give the run's
 * own result. What is finished stands in a journal beside the output, with which `resume` goes on.
 * Throws StruPruneError (docs/errors.md), or the signal's reason when aborted.
 */
export async function prune(model: string, options: PruneOptions): Promise<PruneResult> {
  return withEngine(options, async (engine) => {
    const surveys = new Surveys();
    try {
      return await pruneOn(engine, model, options, { surveys, resumable: true });
    } finally {
      surveys.dispose();
    }
  });
}

/** prune() on an engine that is there, whose options hold; `shared` outlives the call. */
export async function pruneOn(
  engine: Engine,
  model: string,
  options: PruneOptions,
  shared: Shared,
): Promise<PruneResult> {
  const settings = settingsOf(options);
  const kind = settings.format === 'hf' ? 'folder' : 'file';
  const { resume, force } = settings;
  const journal = await Journal.open(settings.output, kind, { resume, replace: force });
  try {
    return await pruneWith(journal, engine, model, settings, options, shared);
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
  model: string,
  settings: Settings,
  options: PruneOptions,
  shared: Shared,
): Promise<PruneResult> {
  const start = performance.now();
  const run = await openRun(engine, model, settings, options, shared);
  try {
    const hashes = await hashFiles(run.source, options.signal);
    const facts = { ...run, hashes, threads: engine.threads, device: engine.device };
    await journal.begin(runIdentity(facts));
    for (const warning of journal.warnings) options.onWarning?.(warning);
    let result = await journal.completed();
    if (!result) {
      const dense = await before(run, options);
      const { allocation, survey, columns } = await decide(run, journal, facts);
      if (settings.saveCalibration !== undefined) {
        await copyFile(journal.surveyPath, settings.saveCalibration);
      }
      const plan = planOutput(run, allocation.removed);
      const tokenizer = tokenizerOutput(run.source, settings.format);
      const solved = await solve(run, journal, plan, allocation, survey, columns);
      const sink = await openSink(plan, settings.output, {
        replace: settings.force,
        work: journal.folder,
        maxShardBytes: settings.maxShardBytes,
        tokenizer,
        provenance: provenance(run.source, run.settings, hashes),
      });
      result = await orAbort(sink, async () => {
        const path = await writeTensors(run.session, plan, journal, sink, run.onProgress);
        const summary = summarise(run, plan, solved);
        const after = await verify(run, path, solved.expected, dense.samplesBefore);
        const known: PruneResult = {
          ...summary,
          survey: surveyOf(run),
          solveInputs: solveInputsOf(run),
          ...after,
          perplexityBefore: dense.perplexityBefore,
          warnings: [...dense.warnings, ...journal.warnings],
          seconds: (performance.now() - start) / 1000,
          peakRssBytes: native.peakRss(),
          peakBudgetBytes: native.memoryOf(engine.handle).peak,
          device: engine.device,
          peakDeviceBytes: native.gpuMemoryOf(engine.handle)?.peak ?? null,
        };
        await journal.putResult(known);
        await sink.commit([
          { name: 'README.md', text: modelCard(run.source, run.settings, hashes, known) },
        ]);
        return known;
      });
    }
    await journal.remove();
    return result;
  } finally {
    run.session.dispose();
  }
}

/** Everything that can be refused is refused here, before any work. */
async function openRun(
  engine: Engine,
  model: string,
  settings: Settings,
  { signal, onProgress }: PruneOptions,
  { ids: given, surveys }: Shared,
): Promise<Run> {
  const source = await openCheckpoint(model);
  const setup = setUp(source, settings);
  const { dtype, window } = setup;
  const { architecture } = source;
  await requireCalibrationFiles(setup);
  const maxTokens = settings.calibrationTokens;
  const ids =
    given ?? (await readWindows(source, settings.calibration, { window, maxTokens, signal }));
  let evaluation: Run['evaluation'] = null;
  if (settings.eval) {
    const evalWindow = windowFor(architecture, settings.evalWindow ?? window);
    requireNoSliding(settings, architecture, evalWindow);
    const maxTokens = settings.evalTokens;
    evaluation = {
      window: evalWindow,
      ids: await readWindows(source, settings.eval, { window: evalWindow, maxTokens, signal }),
    };
  }
  const sizes = {
    threads: engine.threads,
    gpu: GpuSites.of(engine, architecture),
    tokens: ids.length,
    evaluation: evaluation && { tokens: evaluation.ids.length, window: evaluation.window },
  };
  const plan = await requireRoom(planInput(setup, sizes), setup.settings, engine);
  const session = new Session(engine, source, dtype);
  const states = plan.statesPaged ? settings.scratch : '';
  return { ...setup, engine, ids, evaluation, session, surveys, states, onProgress };
}

function surveyOf(run: Run): PruneResult['survey'] {
  if (!surveys(run)) return 'none';
  return run.settings.fromCalibration === undefined ? 'made' : 'file';
}

function solveInputsOf({ settings, method }: Run): PruneResult['solveInputs'] {
  if (method && (method.statistics === 'none' || method.inputs === 'dense')) return 'none';
  return solvesSequentially({ settings, method }) ? 'sequential' : 'dense';
}

/** Refuses calibration files that a run has no use for, or that are there. */
async function requireCalibrationFiles(setup: Setup): Promise<void> {
  const { saveCalibration, fromCalibration, force, resume } = setup.settings;
  if (saveCalibration === undefined && fromCalibration === undefined) return;
  if (!surveys(setup)) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      'this run makes no survey: a uniform share on inputs of the model pruned so far needs none',
      'leave --save-calibration and --from-calibration out, or choose --allocation threshold',
    );
  }
  if (saveCalibration !== undefined && fromCalibration !== undefined) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      '--save-calibration and --from-calibration exclude each other',
    );
  }
  if (saveCalibration !== undefined) {
    await requireReplaceable(resolve(saveCalibration), 'file', { replace: force || resume });
  }
}

/** The dense model's perplexity and words, and what the user should be warned of. */
async function before(run: Run, { signal, onWarning }: PruneOptions) {
  const { evaluation, engine, source, settings } = run;
  signal?.throwIfAborted();
  const overlap = evaluation && overlapWarning(run.ids, evaluation.ids);
  if (overlap) onWarning?.(overlap);
  const dense = new Session(engine, source);
  try {
    const perplexityBefore = await perplexityOf(run, dense);
    const samplesBefore = settings.samples
      ? await greedy(dense, samplePrompt(run), SAMPLE_TOKENS)
      : null;
    return { warnings: overlap ? [overlap] : [], perplexityBefore, samplesBefore };
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

/** Survey, where the rule or the method needs one, and allocation. */
async function decide(
  run: Run,
  journal: Journal,
  facts: RunFacts,
): Promise<{
  allocation: JointAllocation;
  survey: Survey | null;
  columns: SiteStatistics[] | null;
}> {
  const { settings, method, layers } = run;
  const measured = await measure(run, journal, facts);
  const columns = method?.inputs === 'dense' ? measured.columns : null;
  let { survey } = measured;
  if (settings.allocation !== 'uniform' && method?.selection === 'scores') {
    survey = curvesFromScores(method, measured.columns!, layers);
  }
  if (!survey) return { allocation: uniformAllocation(run), survey, columns };
  const budget = budgetOf(run);
  const allocation = allocate(allocationLayers(layers, survey.curves, survey.weights), budget, {
    rule: settings.allocation!,
    form: settings.energyForm,
    temperature: settings.temperature,
    apart: settings.apart,
  });
  return { allocation, survey, columns };
}

/** The dense survey: of the journal where it has one, else made now. */
async function measure(run: Run, journal: Journal, facts: RunFacts): Promise<Measured> {
  const { settings, method, layers, session, ids, window, onProgress } = run;
  if (!surveys(run)) return { columns: null, survey: null };
  const identity = surveyIdentity(facts);
  const stored = settings.fromCalibration ?? journal.surveyPath;
  if (settings.fromCalibration !== undefined || (await journal.hasSurvey())) {
    const read = await readSurvey(stored, session, layers, identity, settings.scratch);
    if (read.survey) run.surveys.adopt(read.survey);
    return read;
  }
  const input = { session, ids, window, layers, settings, onProgress };
  const measured: Measured = { columns: null, survey: null };
  if (method?.selection === 'scores') {
    measured.columns = await run.surveys.columns(input, method.statistics);
  } else {
    const tokens = Math.max(1, Math.floor(settings.surveyTokens / window)) * window;
    measured.survey = await run.surveys.curves({ ...input, ids: ids.subarray(0, tokens) });
  }
  await writeSurvey(journal.surveyPath, session, measured, identity, { replace: true });
  return measured;
}

interface Solved {
  keeps: BlockKeep[];
  layerStats: LayerStats[];
  /** Mean NLL of the last calibration window through what was written. */
  expected: number;
  resumedBlocks: number[];
}

/** Solves block after block into the journal; what the journal has already is only run through. */
async function solve(
  run: Run,
  journal: Journal,
  plan: ExportPlan,
  allocation: JointAllocation,
  survey: Survey | null,
  columns: SiteStatistics[] | null,
): Promise<Solved> {
  const { session, settings, method, layers, ids, window } = run;
  const { blocks, hidden } = session.architecture;
  const { tensors } = plan;
  const resumed = journal.finished;
  const streams = await openStreams(run, columns !== null || resumed === blocks.length);
  const context: SolveContext = { session, settings, method, streams };
  const planFor = (index: number) => (site: Site) => {
    const at = layerAt(layers, index, site);
    return at === -1 ? null : planOf(at, layers, allocation, survey, columns, hidden);
  };
  try {
    const report = stageReporter(run.onProgress, 'solve', blocks.length);
    const keeps: BlockKeep[] = [];
    const layerStats: LayerStats[] = [];
    for (let index = 0; index < blocks.length; index++) {
      run.engine.throwIfAborted();
      if (index < resumed) {
        const record = await journal.block(index);
        const finished = () => loadFinished(journal, session, tensors, index, record);
        await replayBlock(context, index, record.keep, planFor(index), finished);
        keeps.push(record.keep);
        layerStats.push(...record.stats);
      } else {
        await using(await session.loadBlock(index), async (block) => {
          const solved = await solveBlock(context, index, block, planFor(index));
          await session.advance(block, streams.check, window);
          await putBlock(journal, session, tensors, index, block, solved);
          keeps.push(solved.keep);
          layerStats.push(...solved.stats);
        });
      }
      report(index + 1, `block ${index + 1} of ${blocks.length}`);
    }
    const last = ids.subarray(ids.length - window);
    const { nll } = await session.score(streams.check, nextTokens(last, window));
    const resumedBlocks = [...keeps.keys()].slice(0, resumed);
    return { keeps, layerStats, expected: meanOf(nll), resumedBlocks };
  } finally {
    for (const matrix of [streams.hidden, streams.dense, streams.check]) {
      if (matrix) native.release(matrix);
    }
  }
}

async function solveBlock(
  context: SolveContext,
  index: number,
  block: BlockHandle,
  planFor: (site: Site) => SitePlan | null,
): Promise<{ keep: BlockKeep; stats: LayerStats[] }> {
  const keep: BlockKeep = {};
  const stats: LayerStats[] = [];
  for (const site of SITES) {
    const solved = await solveSite(context, index, block, site, planFor(site));
    if (!solved) continue;
    Object.assign(keep, blockKeep(site, solved.kept));
    stats.push(solved.stats);
  }
  return { keep, stats };
}

/** `idle`: no site will read hidden states. */
async function openStreams(run: Run, idle: boolean): Promise<Streams> {
  const { session, settings, ids, window, method, states } = run;
  const needsStates = !idle && (method === null || method.statistics !== 'none');
  const feedback = !idle && method === null && (settings.alpha !== 0 || settings.beta !== 0);
  return {
    window,
    scratch: states,
    hidden: needsStates ? await session.embed(ids, window, states) : null,
    dense: feedback ? await session.embed(ids, window, states) : null,
    check: await session.embed(ids.subarray(ids.length - window), window),
  };
}

function planOf(
  at: number,
  layers: readonly Layer[],
  allocation: JointAllocation,
  survey: Survey | null,
  columns: SiteStatistics[] | null,
  hidden: number,
): SitePlan {
  const removed = allocation.removed[at]!;
  return {
    layer: layers[at]!,
    removed,
    predicted: survey ? survey.weights[at]! * survey.curves[at]![removed]! : null,
    metric: survey?.metrics ? { matrix: survey.metrics, row: at * hidden } : null,
    columns: columns ? columns[at]! : null,
  };
}

/** Opens what was written, still under its temporary name, and measures it. */
async function verify(run: Run, path: string, expected: number, samplesBefore: number[] | null) {
  const { engine, settings, ids, window, states: scratch, source } = run;
  const written = settings.format === 'gguf' ? await openGguf(path) : await openCheckpoint(path);
  const session = new Session(engine, written);
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
      const prompt = samplePrompt(run);
      const tokenizer = loadTokenizer(tokenizerOf(source));
      samples = {
        prompt: tokenizer.decode(prompt),
        before: tokenizer.decode(samplesBefore),
        after: tokenizer.decode(await greedy(session, prompt, SAMPLE_TOKENS)),
      };
    }
    const bytesAfter = bytesOf(written);
    return { verification: { expected, actual }, perplexityAfter, samples, bytesAfter };
  } finally {
    session.dispose();
  }
}

function summarise(run: Run, plan: ExportPlan, solved: Solved) {
  const { source, settings, dtype } = run;
  const { keeps, layerStats, resumedBlocks } = solved;
  const { architecture } = source;
  const pruned = prunedArchitecture(architecture, keeps);
  const parametersBefore = source.parameters;
  const parametersAfter = totalParameters({ ...pruned, biases: plan.biases });
  const total = linearParameters(architecture);
  return {
    method: settings.method,
    allocation: settings.allocation!,
    scope: settings.scope,
    format: settings.format,
    dtype: dtype.toLowerCase(),
    output: settings.output,
    parametersBefore,
    parametersAfter,
    sparsity: (total - linearParameters(pruned)) / total,
    fileSparsity: (parametersBefore - parametersAfter) / parametersBefore,
    bytesBefore: bytesOf(source),
    kind: plan.kind,
    notes: plan.notes,
    resumedBlocks,
    layers: layerResults(architecture, pruned, keeps),
    layerStats,
  };
}

function layerResults(
  before: Architecture,
  after: Architecture,
  keeps: readonly BlockKeep[],
): LayerResult[] {
  const whole = (count: number) => Int32Array.from({ length: count }, (_, g) => g);
  return before.blocks.map((widths, index) => ({
    index,
    ffnBefore: widths.ffn,
    ffnAfter: after.blocks[index]!.ffn,
    kvHeadsBefore: widths.kvHeads,
    kvHeadsAfter: after.blocks[index]!.kvHeads,
    keptFfnSha256: fingerprint(keeps[index]!.ffn ?? whole(widths.ffn)),
    keptKvSha256: fingerprint(keeps[index]!.kv ?? whole(widths.kvHeads)),
  }));
}

function samplePrompt({ evaluation, ids }: Run): number[] {
  return [...(evaluation?.ids ?? ids).subarray(0, SAMPLE_PROMPT)];
}

function bytesOf(source: ModelSource): number {
  return source.files.reduce((sum, file) => sum + statSync(file).size, 0);
}

function meanOf(nll: Float64Array): number {
  const values = nll.filter((value) => !Number.isNaN(value));
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
