/** The main path: open → survey → allocate → solve and write block by block → verify. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { allocate, type JointAllocation } from './allocation';
import { overlapWarning } from './calibration/corpus';
import { readWindows, tokenizerOf } from './calibration/text';
import { orAbort, requireWritable } from './checkpoint/atomic';
import { type ExportDtype, type ExportPlan, planExport } from './checkpoint/export';
import { openGguf } from './checkpoint/gguf-model';
import { openCheckpoint } from './checkpoint/open';
import { type Engine, using, withEngine } from './engine/engine';
import { native } from './engine/native';
import { nextTokens, Session, SITES } from './engine/session';
import { StruPruneError } from './errors';
import { evaluateIds, windowFor } from './evaluate';
import { greedy } from './generate';
import { type Method, methodOf, type SiteStatistics } from './methods';
import type { Architecture, ModelSource } from './model/architecture';
import {
  type BlockKeep,
  linearParameters,
  prunedArchitecture,
  totalParameters,
} from './model/groups';
import { type OnProgress, stageReporter } from './progress';
import { hashFiles, modelCard, provenance } from './pruning/model-card';
import { type PruneOptions, type Settings, settingsOf } from './pruning/options';
import type { LayerResult, LayerStats, PruneResult } from './pruning/result';
import { fingerprint, type SitePlan, type Streams, solveSite } from './pruning/solve';
import { curvesFromScores, type Survey } from './pruning/survey';
import { Surveys } from './pruning/surveys';
import { tokenizerOutput } from './pruning/tokenizer-output';
import {
  allocationLayers,
  blockKeep,
  type Layer,
  layerAt,
  layersOf,
  placeholderKeeps,
  weightsFor,
} from './pruning/widths';
import { CheckpointWriter } from './pruning/write';
import { loadTokenizer } from './tokenizer';

/** Largest difference of the last window's mean NLL between the run and the written file. */
const VERIFY_TOLERANCE = 1e-4;
const SAMPLE_TOKENS = 40;
const SAMPLE_PROMPT = 16;

/** What decides the output's shape, known before any work. */
interface Setup {
  source: ModelSource;
  settings: Settings;
  /** null: StruPrune. */
  method: Method | null;
  dtype: ExportDtype;
  layers: Layer[];
}

interface Run extends Setup {
  engine: Engine;
  window: number;
  /** Calibration tokens, whole windows. */
  ids: Int32Array;
  evaluation: { ids: Int32Array; window: number } | null;
  session: Session;
  surveys: Surveys;
  onProgress: OnProgress | undefined;
}

/** What several runs of one model on one calibration text share, each made once (lib/bench). */
export interface Shared {
  /** Calibration tokens, whole windows; as `settings` ask for them where left out. */
  ids?: Int32Array;
  surveys: Surveys;
}

/**
 * Prunes the checkpoint at `model` (Hugging Face folder or GGUF file) into `options.output`, which appears only
 * when it is whole. Same settings and seed, same bytes. The written file is opened again and must give the run's
 * own result. Throws StruPruneError (docs/errors.md), or the signal's reason when aborted.
 */
export async function prune(model: string, options: PruneOptions): Promise<PruneResult> {
  return withEngine(options, async (engine) => {
    const surveys = new Surveys();
    try {
      return await pruneOn(engine, model, options, { surveys });
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
  const start = performance.now();
  const run = await openRun(engine, model, settings, options, shared);
  try {
    const { warnings, perplexityBefore, samplesBefore } = await before(run, options);
    const { allocation, survey, columns } = await decide(run);
    const plan = planOutput(run, allocation.removed);
    const hashes = await hashFiles(run.source, options.signal);
    const writer = await openWriter(run, plan, hashes);
    const result = await orAbort(writer, async () => {
      const solved = await solveAndWrite(run, writer, allocation, survey, columns);
      const summary = summarise(run, plan, solved);
      const after = await verify(run, await writer.finish(), solved.expected, samplesBefore);
      const known = { ...summary, ...after, perplexityBefore, warnings };
      await writer.commit([
        { name: 'README.md', text: modelCard(run.source, run.settings, hashes, known) },
      ]);
      return known;
    });
    return {
      ...result,
      seconds: (performance.now() - start) / 1000,
      peakRssBytes: native.peakRss(),
    };
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
  await requireWritable(settings.output, settings.format === 'hf' ? 'folder' : 'file', {
    replace: settings.force,
  });
  const source = await openCheckpoint(model);
  const { architecture } = source;
  const method = settings.method === 'struprune' ? null : methodOf(settings.method);
  const dtype = dtypeFor(source, settings);
  const allocation = settings.allocation ?? defaultAllocation(method);
  if (method && !method.allocations.includes(allocation)) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `method ${method.name} has no ${allocation} allocation`,
      `choose ${method.allocations.join(' or ')}`,
    );
  }
  if ((settings.alpha || settings.beta) && architecture.norm.placement === 'post') {
    throw new StruPruneError(
      'ERR_UNSUPPORTED',
      'feedback (alpha, beta) needs a pre-norm model',
      'leave --alpha and --beta at 0',
    );
  }
  const metrics = method === null && allocation !== 'uniform' && settings.layerWeights === 'fisher';
  if (settings.selection === 'fisher' && !metrics) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      'selection fisher needs the Fisher metrics of a survey',
      'choose --allocation threshold or energy with --layer-weights fisher',
    );
  }
  const window = windowFor(
    architecture,
    settings.window ?? Math.min(1024, architecture.maxPositions),
  );
  requireNoSliding(settings, architecture, window);
  const setup: Setup = {
    source,
    settings: { ...settings, allocation },
    method,
    dtype,
    layers: layersOf(architecture, settings, dtype),
  };
  // A first look at the output: what nothing can hold is refused now.
  const { removed } = uniformAllocation(setup);
  if (allocation !== 'uniform') removed[0] = 0; // widths that differ, as they may come out
  planOutput(setup, removed);
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
  const session = new Session(engine, source, dtype);
  return { ...setup, engine, window, ids, evaluation, session, surveys, onProgress };
}

/** A GGUF file looks back without limit, so that on a longer text it is not the model that was pruned. */
function requireNoSliding(settings: Settings, architecture: Architecture, window: number): void {
  const { slidingWindow } = architecture;
  if (settings.format !== 'gguf' || slidingWindow === 0 || window <= slidingWindow) return;
  throw new StruPruneError(
    'ERR_ARGUMENT',
    `a GGUF file cannot hold this model's sliding window of ${slidingWindow} tokens, and texts are cut by ${window}`,
    `choose --window ${slidingWindow} or less, or --format hf`,
  );
}

/** The dense model's perplexity and words, and what the user should be warned of. */
async function before(run: Run, { signal, onWarning }: PruneOptions) {
  const { evaluation, engine, source, settings, onProgress } = run;
  signal?.throwIfAborted();
  const overlap = evaluation && overlapWarning(run.ids, evaluation.ids);
  if (overlap) onWarning?.(overlap);
  const dense = new Session(engine, source);
  try {
    const perplexityBefore = evaluation
      ? (await evaluateIds(dense, evaluation.ids, { window: evaluation.window, onProgress }))
          .perplexity
      : null;
    const samplesBefore = settings.samples
      ? await greedy(dense, samplePrompt(run), SAMPLE_TOKENS)
      : null;
    return { warnings: overlap ? [overlap] : [], perplexityBefore, samplesBefore };
  } finally {
    dense.dispose();
  }
}

/** Survey, where the rule needs one, and allocation. */
async function decide(run: Run): Promise<{
  allocation: JointAllocation;
  survey: Survey | null;
  columns: SiteStatistics[] | null;
}> {
  const { settings, method, layers, session, ids, window, surveys, onProgress } = run;
  const input = { session, ids, window, layers, settings, onProgress };
  const wanted = settings.allocation !== 'uniform';
  let columns: SiteStatistics[] | null = null;
  let survey: Survey | null = null;
  if (method?.selection === 'scores') {
    if (wanted || method.inputs === 'dense')
      columns = await surveys.columns(input, method.statistics);
    if (wanted) survey = curvesFromScores(method, columns!, layers);
    if (method.inputs !== 'dense') columns = null;
  } else if (wanted) {
    const tokens = Math.max(1, Math.floor(settings.surveyTokens / window)) * window;
    survey = await surveys.curves({ ...input, ids: ids.subarray(0, tokens) });
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

function openWriter(
  { session, settings, source }: Run,
  plan: ExportPlan,
  hashes: { name: string; sha256: string }[],
): Promise<CheckpointWriter> {
  return CheckpointWriter.create(session, plan, settings.output, {
    replace: settings.force,
    maxShardBytes: settings.maxShardBytes,
    tokenizer: tokenizerOutput(source, settings.format),
    provenance: provenance(source, settings, hashes),
  });
}

interface Solved {
  keeps: BlockKeep[];
  layerStats: LayerStats[];
  /** Mean NLL of the last calibration window through what was written. */
  expected: number;
}

async function solveAndWrite(
  run: Run,
  writer: CheckpointWriter,
  allocation: JointAllocation,
  survey: Survey | null,
  columns: SiteStatistics[] | null,
): Promise<Solved> {
  const { session, settings, method, layers, ids, window } = run;
  const { blocks, hidden } = session.architecture;
  const streams = await openStreams(run, columns !== null);
  try {
    const report = stageReporter(run.onProgress, 'solve', blocks.length);
    const keeps: BlockKeep[] = [];
    const layerStats: LayerStats[] = [];
    for (let index = 0; index < blocks.length; index++) {
      run.engine.throwIfAborted();
      await using(await session.loadBlock(index), async (block) => {
        const keep: BlockKeep = {};
        for (const site of SITES) {
          const at = layerAt(layers, index, site);
          const sitePlan =
            at === -1 ? null : planOf(at, layers, allocation, survey, columns, hidden);
          const context = { session, settings, method, streams };
          const solved = await solveSite(context, index, block, site, sitePlan);
          if (!solved) continue;
          Object.assign(keep, blockKeep(site, solved.kept));
          layerStats.push(solved.stats);
        }
        await session.advance(block, streams.check, window);
        await writer.writeBlock(index, block);
        keeps.push(keep);
      });
      report(index + 1, `block ${index + 1} of ${blocks.length}`);
    }
    const last = ids.subarray(ids.length - window);
    const { nll } = await session.score(streams.check, nextTokens(last, window));
    return { keeps, layerStats, expected: meanOf(nll) };
  } finally {
    for (const matrix of [streams.hidden, streams.dense, streams.check]) {
      if (matrix) native.release(matrix);
    }
  }
}

async function openStreams(run: Run, scored: boolean): Promise<Streams> {
  const { session, settings, ids, window, method } = run;
  const needsStates = !scored && (method === null || method.statistics !== 'none');
  const feedback = method === null && (settings.alpha !== 0 || settings.beta !== 0);
  return {
    window,
    hidden: needsStates ? await session.embed(ids, window) : null,
    dense: feedback ? await session.embed(ids, window) : null,
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
  const { engine, settings, ids, window, evaluation, onProgress, source } = run;
  const written = settings.format === 'gguf' ? await openGguf(path) : await openCheckpoint(path);
  const session = new Session(engine, written);
  try {
    const last = ids.subarray(ids.length - window);
    const actual = (await evaluateIds(session, last, { window })).meanNll;
    if (!(Math.abs(actual - expected) <= VERIFY_TOLERANCE)) {
      throw new StruPruneError(
        'ERR_VERIFY',
        `the written checkpoint gives a mean NLL of ${actual} where the run had ${expected}`,
        'nothing was kept; please report this with the command',
      );
    }
    const perplexityAfter = evaluation
      ? (await evaluateIds(session, evaluation.ids, { window: evaluation.window, onProgress }))
          .perplexity
      : null;
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

function summarise(run: Run, plan: ExportPlan, { keeps, layerStats }: Solved) {
  const { source, settings, dtype } = run;
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

function uniformAllocation(setup: Setup): JointAllocation {
  const { layers, settings } = setup;
  const none = layers.map(() => null);
  const weights = layers.map(() => 1);
  return allocate(allocationLayers(layers, none, weights), budgetOf(setup), {
    rule: 'uniform',
    apart: settings.apart,
  });
}

function budgetOf({ source, settings, dtype }: Setup) {
  return weightsFor(settings, source.architecture, source.parameters, dtype);
}

/** The output for widths that are known, masks that are not. */
function planOutput(
  { source, settings, method, dtype, layers }: Setup,
  removed: Int32Array,
): ExportPlan {
  const { architecture } = source;
  const adds = method ? method.meanBias : settings.bias === 'add';
  const inScope = (site: 'ffn' | 'attention') =>
    settings.scope === 'all' || settings.scope === site;
  return planExport({
    architecture,
    pruned: prunedArchitecture(architecture, placeholderKeeps(architecture, layers, removed)),
    format: settings.format,
    dtype,
    addedBias: {
      o: adds && inScope('attention') && !architecture.biases.o,
      down: adds && inScope('ffn') && !architecture.biases.down,
    },
    ...sourceFiles(source),
  });
}

/** What a Hugging Face source has of its own configuration, to be carried over. */
function sourceFiles(source: ModelSource) {
  if (source.format !== 'hf') return {};
  const path = join(source.path, 'generation_config.json');
  return {
    sourceConfig: source.config,
    sourceGeneration: existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined,
  };
}

/** The asked dtype, or the source's own where a file can hold it, else F16. */
function dtypeFor(source: ModelSource, settings: Settings): ExportDtype {
  if (settings.dtype) return settings.dtype.toUpperCase() as ExportDtype;
  const own = source.blocks[0]?.q?.dtype;
  return own === 'F32' || own === 'F16' || own === 'BF16' ? own : 'F16';
}

function defaultAllocation(method: Method | null) {
  return method ? method.allocations[0] : 'threshold';
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
