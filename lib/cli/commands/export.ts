import type { Command } from 'commander';
import { KIND_WORDS } from '../../checkpoint/export-table';
import type { Exported, ExportOptions } from '../../export-model';
import { EXPORT_EXTRAS, EXPORT_FLAGS } from '../flags/export';
import { addFlags, optionsFrom } from '../flags/flag';
import { print, printJson } from '../output/print';
import { runWithProgress } from '../terminal/run';

export function addExport(program: Command): void {
  const command = program
    .command('export')
    .description('Writes a model as it is into another format or type; nothing is removed.')
    .argument('<model>', 'Hugging Face folder or .gguf file')
    .action(async (model: string, parsed: Record<string, unknown>) => {
      const { exportModel } = await import('../../export-model');
      const options = optionsFrom<ExportOptions>(EXPORT_FLAGS, parsed);
      const result = await runWithProgress(({ signal, onProgress, onNotice }) =>
        exportModel(model, { ...options, signal, onProgress, onNotice }),
      );
      if (parsed.json) printJson(result);
      else print(exportReport(result));
    });
  addFlags(command, EXPORT_FLAGS, {}, EXPORT_EXTRAS);
}

function exportReport({ output, dtype, kind, notes }: Exported): string {
  return [
    `${output}  (${dtype}, ${KIND_WORDS[kind]})`,
    ...notes.map((note) => `note: ${note}`),
  ].join('\n');
}
