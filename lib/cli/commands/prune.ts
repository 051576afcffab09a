import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { isGraph } from '../../checkpoint/graph-folder';
import { isOnnx } from '../../checkpoint/output-path';
import type { BenchSpeed } from '../../documents/bench';
import { rankOfProcess } from '../../engine/team';
import { StruPruneError } from '../../errors';
import type { GraphOptions, PruneOptions } from '../../options';
import { journalFolder } from '../../pruning/journal/folder';
import { graphReport, pruneReport } from '../../reports';
import { FLAGS } from '../flags';
import { addFlags, optionsFrom } from '../flags/flag';
import { graphText } from '../output/graph-report';
import { expectedTime } from '../output/plan-report';
import { print, printJson } from '../output/print';
import { pruneReport as pruneText } from '../output/prune-report';
import { speedReport } from '../output/speed-report';
import { type ReportedRun, reportOf } from '../prune-html';
import { isTerminal } from '../terminal/colors';
import { Interruption } from '../terminal/interrupt';
import { type Callbacks, runWithProgress } from '../terminal/run';
import { takeKeepBias } from './keep-bias';
import { MODEL_HELP } from './model-argument';

export function addPrune(program: Command): void {
  const command = program
    .command('prune')
    .description('Writes a physically smaller checkpoint of a model, or ONNX graph.')
    .argument('<model>', `${MODEL_HELP}, or .onnx file or folder of one`)
    .action((model: string, parsed: Parsed) =>
      isGraph(model) ? pruneGraph(model, parsed) : pruneModel(model, parsed),
    );
  addFlags(command, FLAGS.prune);
  takeKeepBias(command);
}

type Parsed = Record<string, unknown> & {
  json?: boolean;
  report?: string | true;
  speed?: string | true;
};

async function pruneModel(model: string, parsed: Parsed): Promise<void> {
  const { prune } = await import('../../prune');
  const samples = parsed.samples ?? !parsed.json;
  const options = optionsFrom<PruneOptions>(FLAGS.prune, { ...parsed, samples });
  await run(model, options, parsed, {
    prune: async (callbacks) => {
      await tellTime(model, options, callbacks);
      return prune(model, { ...options, ...callbacks });
    },
    textOf: pruneText,
    isFolder: ({ format }) => format === 'hf',
    speedOf: parsed.speed === undefined ? null : await speedometer(model, options, parsed.speed),
    htmlOf: ({ result, speed }, about) =>
      pruneReport(model, options, result, { ...about, ...(speed && { speed }) }),
  });
}

/** What a person at a terminal waits for: a log has the time that is left in its lines. */
async function tellTime(
  model: string,
  options: PruneOptions,
  { signal, onNotice }: Callbacks,
): Promise<void> {
  if (!isTerminal(process.stderr) || options.resume) return;
  const { plan } = await import('../../plan');
  onNotice(expectedTime(await plan(model, { ...options, signal })));
}

async function pruneGraph(model: string, parsed: Parsed): Promise<void> {
  if (parsed.speed !== undefined) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      'a graph is pruned without --speed',
      'leave it out: what runs the graph tells its speed',
    );
  }
  const { pruneGraph: prune } = await import('../../prune-graph');
  const options = optionsFrom<GraphOptions>(FLAGS.prune, parsed);
  await run(model, options, parsed, {
    prune: (callbacks) => prune(model, { ...options, ...callbacks }),
    textOf: graphText,
    isFolder: ({ output }) => !isOnnx(output),
    speedOf: null,
    htmlOf: ({ result }, about) => graphReport(model, options, result, about),
  });
}

/** A finished run; `speed`: null where it was not to be measured. */
interface Outcome<Result> {
  result: Result;
  speed: BenchSpeed | null;
}

interface Pruning<Result extends object> extends ReportedRun<Outcome<Result>> {
  prune(callbacks: Callbacks): Promise<Result>;
  textOf(result: Result): string;
  speedOf: ((callbacks: Callbacks) => Promise<BenchSpeed>) | null;
}

/** What measures a run's output. Refuses a folder without node-llama-cpp before the run. */
async function speedometer(
  model: string,
  { output, threads }: PruneOptions,
  named: string | true,
): Promise<(callbacks: Callbacks) => Promise<BenchSpeed>> {
  const { benchSpeed } = await import('../../bench/speed/run');
  const { findRuntime } = await import('../../bench/speed/runtime');
  const runtime = named === true ? undefined : named;
  findRuntime(runtime);
  return async ({ signal, onProgress }) => {
    const { speed } = await benchSpeed(model, output, { threads, runtime, signal, onProgress });
    return speed!;
  };
}

async function run<Result extends object>(
  model: string,
  options: PruneOptions,
  { json, report: named }: Parsed,
  pruning: Pruning<Result>,
): Promise<void> {
  const report = await reportOf(model, options, named, pruning);
  const result = await runWithProgress(pruning.prune).catch((error: unknown) => {
    throw withJournal(error, options.output);
  });
  if (rankOfProcess() > 0) return;
  // First of all, whatever becomes of the rest: the run took long.
  if (!json) print(pruning.textOf(result));
  const { speedOf } = pruning;
  let speed: BenchSpeed | null = null;
  try {
    speed = speedOf && (await runWithProgress(speedOf));
  } finally {
    if (json) printJson({ ...result, ...(speed && { speed }) });
  }
  if (speed && !json) print(`\n${speedReport(speed)}`);
  await report?.write({ result, speed });
  if (report && !json) print(`\nreport: ${report.path}`);
}

/** An interruption that tells how to go on where there is something to go on with. */
function withJournal(error: unknown, output: string): unknown {
  if (!(error instanceof Interruption) || !existsSync(journalFolder(output))) return error;
  return new Interruption(error.signal, 'the same command with --resume goes on');
}
