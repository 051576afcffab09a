import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import type { PruneOptions } from '../../options';
import { journalFolder } from '../../pruning/journal/folder';
import { FLAGS } from '../flags';
import { addFlags, optionsFrom } from '../flags/flag';
import { print, printJson } from '../output/print';
import { pruneReport } from '../output/prune-report';
import { reportOf } from '../prune-html';
import { Interruption } from '../terminal/interrupt';
import { runWithProgress } from '../terminal/run';
import { takeKeepBias } from './keep-bias';
import { MODEL_HELP } from './model-argument';

export function addPrune(program: Command): void {
  const command = program
    .command('prune')
    .description('Writes a physically smaller checkpoint of a model.')
    .argument('<model>', MODEL_HELP)
    .action(async (model: string, parsed: Record<string, unknown>) => {
      const { prune } = await import('../../prune');
      const samples = parsed.samples ?? !parsed.json;
      const options = optionsFrom<PruneOptions>(FLAGS.prune, { ...parsed, samples });
      const report = await reportOf(model, options, parsed.report as string | true | undefined);
      const result = await runWithProgress((callbacks) =>
        prune(model, { ...options, ...callbacks }),
      ).catch((error: unknown) => {
        throw withJournal(error, options.output);
      });
      // First of all, whatever becomes of the report: the run took long.
      if (parsed.json) printJson(result);
      else print(pruneReport(result));
      await report?.write(result);
      if (report && !parsed.json) print(`\nreport: ${report.path}`);
    });
  addFlags(command, FLAGS.prune);
  takeKeepBias(command);
}

/** An interruption that tells how to go on where there is something to go on with. */
function withJournal(error: unknown, output: string): unknown {
  if (!(error instanceof Interruption) || !existsSync(journalFolder(output))) return error;
  return new Interruption(error.signal, 'the same command with --resume goes on');
}
