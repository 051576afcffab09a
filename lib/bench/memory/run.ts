/** Whole prunes in processes of their own, under budgets: how much memory each takes, seen from outside. */
import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pieces } from '../../checkpoint/pieces';
import type { BenchDocument, BenchMemory, BenchMemoryRow } from '../../documents/bench';
import { withEngine } from '../../engine/call';
import { type Engine, withBytes } from '../../engine/engine';
import { PLAIN_NODE } from '../../engine/plain-node';
import { StruPruneError } from '../../errors';
import { modelName } from '../../model/name';
import { hashFiles } from '../../models/decoders/model-card';
import { bytes as inUnits } from '../../numbers';
import type { PruneOptions } from '../../options';
import { cutsExperts } from '../../options/method';
import { packageRoot } from '../../package-root';
import { plan } from '../../plan';
import { type OnStage, stageReporter } from '../../progress';
import type { PruneResult } from '../../pruning/result';
import { sourceOf } from '../../source';
import { requireText } from '../../tokenizer/text';
import { commandLine, flagOf } from '../../wording';
import { documentOf, journalMachine, machineOf, versions } from '../document';
import { runProgram } from '../process';
import { withScratch } from '../scratch';
import { memoryLimit } from './limit';
import { type MemoryOptions, type MemorySettings, memorySettings } from './options';
import { writeRandomCheckpoint } from './random-checkpoint';
import { MemoryRows } from './rows';
import { SHAPES, type Shape } from './shapes';
import { logLogSlope } from './slope';
import { treeBytes } from './tree';

const asset = (name: string) => join(packageRoot(), 'assets', name);
/** A smallest budget that the run itself refuses is raised by this factor, so often. */
const RAISE = 1.1;
const RAISES = 8;
/** What a run may take above an idle Node ÷ its budget, before its control group's limit kills it. */
const MARGIN = 1.05;

/** A checkpoint that is measured. */
interface Subject {
  path: string;
  label: string;
  /** Of its rows in the journal, where that is not the label. */
  key?: string;
}

/** The journal says which model was given. */
const GIVEN = 'given model';

interface Run {
  settings: MemorySettings;
  rows: MemoryRows;
  threads: number;
  folder: string;
  /** Of a Node that has loaded the library; null where the system does not tell. */
  idleBytes: number | null;
  signal: AbortSignal | undefined;
}

/**
 * Prunes checkpoints of published shapes with random weights, each made before its runs and removed after them; or `model`
 * alone. Every run is a process of its own, whose memory is looked at from outside. Finished rows are kept in
 * `output`/memory-rows.jsonl, so that the same call goes on after an interruption.
 * Throws as prune() and plan(); ERR_OUTPUT where `output` holds rows of other settings.
 */
export async function benchMemory(
  model: string | null,
  options: MemoryOptions,
): Promise<BenchDocument> {
  const started = performance.now();
  const settings = memorySettings(options);
  const { signal, onProgress } = options;
  return withEngine({ threads: options.threads, signal, device: 'cpu' }, async (engine) => {
    const rows = await openRows(model, settings, engine, signal);
    const idleBytes = await idle(signal);
    const memory = await withScratch(settings.scratch, (folder) => {
      const run: Run = { settings, rows, threads: engine.threads, folder, idleBytes, signal };
      return measure(run, model, withBytes(engine, onProgress));
    });
    const words = ['bench', 'memory', ...(model === null ? [] : [model])];
    const { force, ...flags } = settings;
    const about = {
      command: commandLine(words, Object.entries({ ...flags, threads: options.threads })),
      machine: machineOf(engine),
      seed: 0,
      settings,
    };
    return documentOf(started, about, { memory });
  });
}

/** Rows hold for one program, one model, one text and one machine, whichever shapes and budgets there are yet. */
async function openRows(
  model: string | null,
  settings: MemorySettings,
  engine: Engine,
  signal: AbortSignal | undefined,
): Promise<MemoryRows> {
  const { calibration, calibrationTokens, window, sparsity, allocation } = settings;
  const { scope, mask, ffnSolver } = settings;
  requireText(calibration);
  const given = model === null ? null : await hashFiles(await sourceOf(model, { signal }), signal);
  const conditions = {
    version: versions().struprune,
    given,
    text: await hashOf([calibration]),
    settings: { calibrationTokens, window, sparsity, allocation, scope, mask, ffnSolver },
    machine: journalMachine(engine),
  };
  return MemoryRows.open(settings.output, conditions, settings.force);
}

async function measure(
  run: Run,
  model: string | null,
  onStage: OnStage | undefined,
): Promise<BenchMemory> {
  const { settings, idleBytes } = run;
  const shapes = SHAPES.filter(
    ({ name }) => settings.shapes.includes(name) || (settings.long && name === '6.7b'),
  );
  const names = model === null ? shapes.map(({ label }) => label) : [model];
  const report = stageReporter(onStage, 'measure', names.length + 1);
  const constantBytes = await constantOf(run);
  report(1, 'embedded model');
  const rows: BenchMemoryRow[] = [];
  if (model === null) {
    for (const [i, shape] of shapes.entries()) {
      rows.push(...(await shapeRows(run, shape)));
      report(i + 2, shape.label);
    }
  } else {
    rows.push(...(await rowsOf(run, { path: model, label: modelName(model), key: GIVEN })));
    report(2, model);
  }
  return { idleBytes, constantBytes, ...slopesOf(rows, idleBytes, constantBytes), rows };
}

/** What a model takes that needs next to nothing itself; null where the system does not tell, and of experts: none ships. */
async function constantOf(run: Run): Promise<number | null> {
  if (run.idleBytes === null || cutsExperts(run.settings.scope)) return null;
  const subject = { path: asset('tiny-opt'), label: 'embedded model' };
  const { peakBytes } = await smallestRow(run, subject);
  return peakBytes === null ? null : peakBytes - run.idleBytes;
}

function slopesOf(
  rows: readonly BenchMemoryRow[],
  idle: number | null,
  constant: number | null,
): Pick<BenchMemory, 'slope' | 'layerSlope'> {
  const above = (row: BenchMemoryRow) =>
    row.peakBytes === null || idle === null
      ? []
      : [[row.parameters, row.peakBytes - idle - (constant ?? 0)] as const];
  const smallest = rows.filter((row) => row.smallest).flatMap(above);
  const free = rows.filter(({ budgetBytes }) => budgetBytes === null);
  return {
    slope: smallest.every(([, bytes]) => bytes > 0) ? logLogSlope(smallest) : null,
    layerSlope: logLogSlope(free.map((row) => [row.parameters, row.nativePeakBytes])),
  };
}

/** Without the model, where all of its rows are finished. */
async function shapeRows(run: Run, { name, label, config }: Shape): Promise<BenchMemoryRow[]> {
  const path = join(run.folder, name);
  const subject = { path, label };
  const keys = [null, ...run.settings.budgets].map((budget) => rowKey(subject, budget));
  const finished = keys.every((key) => run.rows.has(key));
  try {
    if (!finished) await writeRandomCheckpoint(path, config, asset('tiny-opt'));
    return await rowsOf(run, subject);
  } finally {
    await rm(path, { recursive: true, force: true });
  }
}

/** The smallest budget, then the given ones; measured after them, since it takes longest. */
async function rowsOf(run: Run, subject: Subject): Promise<BenchMemoryRow[]> {
  const { budgets } = run.settings;
  const missing = budgets.filter((budget) => !run.rows.has(rowKey(subject, budget)));
  if (missing.some((budget) => budget > 0)) await requireEnough(run, subject, missing);
  const given: BenchMemoryRow[] = [];
  for (const budget of budgets) {
    const make = () => pruneUnder(run, subject, budget);
    given.push(await run.rows.get(rowKey(subject, budget), make));
  }
  return [await smallestRow(run, subject), ...given];
}

/** Before the model's first run. @throws StruPruneError ERR_BUDGET */
async function requireEnough(run: Run, { path, label }: Subject, budgets: readonly number[]) {
  const { smallestMemory } = await plan(path, planOptions(run));
  const small = budgets.find((budget) => budget > 0 && budget < smallestMemory);
  if (small === undefined) return;
  throw new StruPruneError(
    'ERR_BUDGET',
    `the budget ${inUnits(small)} is below the smallest for ${label}, ${inUnits(smallestMemory)}`,
    'leave it out of --budgets: the smallest is always measured',
  );
}

function smallestRow(run: Run, subject: Subject): Promise<BenchMemoryRow> {
  return run.rows.get(rowKey(subject, null), () => pruneAtSmallest(run, subject));
}

/** `budget`: null is the smallest. */
function rowKey({ label, key = label }: Subject, budget: number | null): string {
  return `${key}, ${budget ?? 'smallest'}`;
}

/** Of the budgets that `plan` accepts, the smallest at which the run comes to its end. */
async function pruneAtSmallest(run: Run, subject: Subject): Promise<BenchMemoryRow> {
  let budget = (await plan(subject.path, planOptions(run))).smallestMemory;
  for (let raised = 0; ; raised++) {
    try {
      return { ...(await pruneUnder(run, subject, budget)), smallest: true };
    } catch (error) {
      if (raised === RAISES || !(error instanceof StruPruneError)) throw error;
      if (!error.message.includes('ERR_BUDGET')) throw error;
      budget = Math.ceil(budget * RAISE);
    }
  }
}

function planOptions({ settings, threads }: Run): Omit<PruneOptions, 'output'> {
  const { calibration, calibrationTokens, window, sparsity, allocation } = settings;
  const { scope, mask, ffnSolver } = settings;
  const machine = { threads, device: 'cpu' };
  return {
    calibration,
    calibrationTokens,
    window,
    sparsity,
    allocation,
    scope,
    mask,
    ffnSolver,
    tuneTokens: 0,
    scratch: settings.scratch,
    ...machine,
  };
}

async function pruneUnder(
  run: Run,
  { path: model, label }: Subject,
  budget: number,
): Promise<BenchMemoryRow> {
  const { architecture } = await sourceOf(model);
  const output = join(run.folder, 'pruned');
  const options = planOptions(run);
  const planned = await plan(model, { ...options, memory: budget });
  const flags = { ...options, output, ...(budget === 0 ? {} : { memory: budget }) };
  const args = Object.entries(flags).flatMap(([key, value]) => [flagOf(key), String(value)]);
  const main = join(packageRoot(), 'dist', 'lib', 'cli', 'main.js');
  const command = [process.execPath, main, 'prune', model, '--json', '--force', ...args];
  const { seconds, peakBytes, stdout, limitBytes, chargedBytes } = await runLimited(
    run,
    command,
    budget,
  );
  try {
    const result: PruneResult = JSON.parse(stdout);
    return {
      label,
      parameters: result.parametersBefore,
      blocks: architecture.blocks.length,
      hidden: architecture.hidden,
      calibrationTokens: run.settings.calibrationTokens,
      budgetBytes: budget === 0 ? null : budget,
      smallest: false,
      plannedBytes: planned.memory,
      scratchBytes: planned.scratch,
      scratchReadBytes: result.scratchTraffic.read,
      scratchWrittenBytes: result.scratchTraffic.written,
      nativePeakBytes: result.peakBudgetBytes,
      peakBytes,
      limitBytes,
      chargedBytes,
      seconds,
      sha256: await hashOf((await sourceOf(output)).files),
    };
  } finally {
    await rm(output, { recursive: true, force: true });
  }
}

/** In a control group that kills it above its budget and MARGIN, where one can be made. */
async function runLimited({ idleBytes, signal }: Run, command: readonly string[], budget: number) {
  const bounded = budget !== 0 && idleBytes !== null;
  const limit = bounded ? memoryLimit(idleBytes + MARGIN * budget) : null;
  try {
    const around = { env: PLAIN_NODE, signal, memoryOf: treeBytes, within: limit?.within };
    const finished = await runProgram(command, around);
    const [limitBytes, chargedBytes] = [limit?.bytes ?? null, limit?.chargedBytes() ?? null];
    return { ...finished, limitBytes, chargedBytes };
  } catch (error) {
    if (!limit?.exceeded()) throw error;
    throw new StruPruneError(
      'ERR_BUDGET',
      `a run with --memory ${inUnits(budget)} took more than ${inUnits(limit.bytes)} and was killed`,
      'a budget must hold: report this, with the command',
    );
  } finally {
    limit?.remove();
  }
}

/** Node with the library loaded, for a moment. */
async function idle(signal: AbortSignal | undefined): Promise<number | null> {
  const library = JSON.stringify(join(packageRoot(), 'dist', 'lib', 'index.js'));
  const script = `require(${library}); setTimeout(() => {}, 1000)`;
  const around = { env: PLAIN_NODE, signal, memoryOf: treeBytes };
  const { peakBytes } = await runProgram([process.execPath, '-e', script], around);
  return peakBytes;
}

async function hashOf(files: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const file of files) for await (const piece of pieces(file)) hash.update(piece);
  return hash.digest('hex');
}
