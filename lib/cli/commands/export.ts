import type { Command } from 'commander';
import { KIND_WORDS } from '../../checkpoint/export-table';
import type { Exported, ExportOptions } from '../../export-model';
import { FLAGS } from '../flags';
import { addModelCommand } from './model-command';

export function addExport(program: Command): void {
  addModelCommand<ExportOptions, Exported>(program, {
    name: 'export',
    description: 'Writes a model as it is into another format or type; nothing is removed.',
    flags: FLAGS.export,
    report: exportReport,
    load: async () => (await import('../../export-model')).exportModel,
  });
}

function exportReport({ output, dtype, kind, notes }: Exported): string {
  const written = `${output}  (${dtype}, ${KIND_WORDS[kind]})`;
  return [written, ...notes.map((note) => `note: ${note}`)].join('\n');
}
