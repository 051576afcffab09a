import type { Command } from 'commander';
import type { EvaluateOptions } from '../../evaluate';
import { EVAL_EXTRAS, EVAL_FLAGS } from '../flags/eval';
import { addFlags, optionsFrom } from '../flags/flag';
import { evalReport } from '../output/eval-report';
import { print, printJson } from '../output/print';
import { runWithProgress } from '../terminal/run';

export function addEval(program: Command): void {
  const command = program
    .command('eval')
    .description('Perplexity of a model on a text, with speed and memory.')
    .argument('<model>', 'Hugging Face folder or .gguf file')
    .action(async (model: string, parsed: Record<string, unknown>) => {
      const { evaluate } = await import('../../evaluate');
      const options = optionsFrom<EvaluateOptions>(EVAL_FLAGS, parsed);
      const result = await runWithProgress(({ signal, onProgress, onNotice }) =>
        evaluate(model, { ...options, signal, onProgress, onNotice }),
      );
      if (parsed.json) printJson(result);
      else print(evalReport(result));
    });
  addFlags(command, EVAL_FLAGS, {}, EVAL_EXTRAS);
}
