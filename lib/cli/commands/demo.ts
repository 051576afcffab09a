import type { Command } from 'commander';
import { EMBEDDED_WINDOW, embeddedModel, embeddedTexts } from '../../embedded';
import { print } from '../output/print';
import { pruneReport } from '../output/prune-report';
import { runWithProgress } from '../terminal/run';

const OUTPUT = 'struprune-demo';
const SPARSITY = 0.3;
const CALIBRATION_TOKENS = 16384;
const SURVEY_TOKENS = 8192;
const EVAL_TOKENS = 16384;

export function addDemo(program: Command): void {
  program
    .command('demo')
    .description('Prunes the tiny language model that comes with the package.')
    .option(
      '-o, --output <folder>',
      `folder to write (default: ./${OUTPUT}, replaced when it is there)`,
    )
    .option('--force', 'replace a checkpoint that is at --output')
    .action(async (options: { output?: string; force?: boolean }) => {
      const model = embeddedModel();
      const { calibration, evaluation } = embeddedTexts();
      const { prune } = await import('../../prune');
      const settings = {
        output: options.output ?? OUTPUT,
        // Its own folder of an earlier demo, never one that the user named.
        force: options.force ?? options.output === undefined,
        sparsity: SPARSITY,
        calibration,
        calibrationTokens: CALIBRATION_TOKENS,
        surveyTokens: SURVEY_TOKENS,
        window: EMBEDDED_WINDOW,
        eval: evaluation,
        evalTokens: EVAL_TOKENS,
        samples: true,
      };
      process.stderr.write(`Pruning ${100 * SPARSITY} % of a tiny Llama (${model}).\n\n`);
      const result = await runWithProgress((callbacks) =>
        prune(model, { ...settings, ...callbacks }),
      );
      print(pruneReport(result));
    });
}
