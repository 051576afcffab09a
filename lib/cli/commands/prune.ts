import type { Command } from 'commander';
import type { PruneOptions } from '../../pruning/options';
import { addFlags, optionsFrom } from '../flags/flag';
import { PRUNE_DEFAULTS, PRUNE_EXTRAS, PRUNE_FLAGS } from '../flags/prune';
import { print, printJson } from '../output/print';
import { pruneReport } from '../output/prune-report';
import { runWithProgress } from '../terminal/run';

export function addPrune(program: Command): void {
  const command = program
    .command('prune')
    .description('Writes a physically smaller checkpoint of a model.')
    .argument('<model>', 'Hugging Face folder or .gguf file')
    .action(async (model: string, parsed: Record<string, unknown>) => {
      const { prune } = await import('../../prune');
      const samples = parsed.samples ?? !parsed.json;
      const options = optionsFrom<PruneOptions>(PRUNE_FLAGS, { ...parsed, samples });
      const result = await runWithProgress((callbacks) =>
        prune(model, { ...options, ...callbacks }),
      );
      if (parsed.json) printJson(result);
      else print(pruneReport(result));
    });
  addFlags(command, PRUNE_FLAGS, PRUNE_DEFAULTS, PRUNE_EXTRAS);
  command.hook('preAction', () => {
    if (command.getOptionValue('keepBias') !== true) return;
    if (
      command.getOptionValueSource('bias') === 'cli' &&
      command.getOptionValue('bias') !== 'keep'
    ) {
      command.error('error: --keep-bias and another --bias exclude each other');
    }
    command.setOptionValue('bias', 'keep');
  });
}
