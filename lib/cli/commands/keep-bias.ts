import type { Command } from 'commander';

/** `--keep-bias` stands for `--bias keep`. */
export function takeKeepBias(command: Command): void {
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
