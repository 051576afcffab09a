import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { isOnnx } from '../../checkpoint/output-path';
import type { GraphOptions, PruneOptions } from '../../options';
import { journalFolder } from '../../pruning/journal/folder';
import { graphReport, pruneReport } from '../../reports';
import { FLAGS } from '../flags';
import { addFlags, optionsFrom } from '../flags/flag';
import { graphText } from '../output/graph-report';
import { print, printJson } from '../output/print';
import { pruneReport as pruneText } from '../output/prune-report';
import { type ReportedRun, reportOf } from '../prune-html';
import { Interruption } from '../terminal/interrupt';
import { type Callbacks, runWithProgress } from '../terminal/run';
import { takeKeepBias } from './keep-bias';
import { MODEL_HELP } from './model-argument';

export function addPrune(program: Command): void {
  const command = program
    .command('prune')
    .description('Writes a physically smaller checkpoint of a model, or ONNX graph.')
    .argument('<model>', `${MODEL_HELP}, or .onnx file`)
    .action((model: string, parsed: Parsed) =>
      isOnnx(model) ? pruneGraph(model, parsed) : pruneModel(model, parsed),
    );
  addFlags(command, FLAGS.prune);
  takeKeepBias(command);
}

type Parsed = Record<string, unknown> & { json?: boolean; report?: string | true };

async function pruneModel(model: string, parsed: Parsed): Promise<void> {
  const { prune } = await import('../../prune');
  const samples = parsed.samples ?? !parsed.json;
  const options = optionsFrom<PruneOptions>(FLAGS.prune, { ...parsed, samples });
  await run(model, options, parsed, {
    prune: (callbacks) => prune(model, { ...options, ...callbacks }),
    textOf: pruneText,
    isFolder: ({ format }) => format === 'hf',
    htmlOf: (result, about) => pruneReport(model, options, result, about),
  });
}

async function pruneGraph(model: string, parsed: Parsed): Promise<void> {
  const { pruneGraph: prune } = await import('../../prune-graph');
  const options = optionsFrom<GraphOptions>(FLAGS.prune, parsed);
  await run(model, options, parsed, {
    prune: (callbacks) => prune(model, { ...options, ...callbacks }),
    textOf: graphText,
    isFolder: () => false,
    htmlOf: (result, about) => graphReport(model, options, result, about),
  });
}

interface Pruning<Result extends object> extends ReportedRun<Result> {
  prune(callbacks: Callbacks): Promise<Result>;
  textOf(result: Result): string;
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
  // First of all, whatever becomes of the report: the run took long.
  if (json) printJson(result);
  else print(pruning.textOf(result));
  await report?.write(result);
  if (report && !json) print(`\nreport: ${report.path}`);
}

/** An interruption that tells how to go on where there is something to go on with. */
function withJournal(error: unknown, output: string): unknown {
  if (!(error instanceof Interruption) || !existsSync(journalFolder(output))) return error;
  return new Interruption(error.signal, 'the same command with --resume goes on');
}
