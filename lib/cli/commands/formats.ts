import type { Command } from 'commander';
import {
  type ExportKind,
  type ExportRow,
  exportTable,
  KIND_WORDS,
} from '../../checkpoint/export-table';
import { closest } from '../../closest';
import { StruPruneError } from '../../errors';
import { FAMILIES } from '../../model/families';
import { print, printJson } from '../output/print';
import { table } from '../output/table';

export function addFormats(program: Command): void {
  program
    .command('formats')
    .description('Which pruned models which format holds, family by family.')
    .argument('[family]', 'only this one')
    .option('--json', 'JSON alone on stdout')
    .action((family: string | undefined, parsed: { json?: boolean }) => {
      const rows = family === undefined ? exportTable() : rowsOf(family.toLowerCase());
      if (parsed.json) printJson(rows);
      else print(formatsReport(rows));
    });
}

/** @throws StruPruneError ERR_ARGUMENT for a family that is none */
function rowsOf(family: string): ExportRow[] {
  const rows = exportTable().filter((row) => row.family === family);
  if (rows.length > 0) return rows;
  const names = FAMILIES.map(({ name }) => name);
  const meant = closest(family, names);
  throw new StruPruneError(
    'ERR_ARGUMENT',
    `there is no family ${family}`,
    meant ? `did you mean ${meant}?` : `the families are ${names.join(', ')}`,
  );
}

const WHERE = [
  'Where will you run it?',
  '  transformers, PEFT, vLLM       a folder, by default; own modeling code loads with trust_remote_code',
  '  llama.cpp and what is on it    -o NAME.gguf; where a family is refused: with --allocation uniform',
  '  what has stock classes alone   a folder, with --allocation uniform, which loses more quality',
];

function formatsReport(rows: readonly ExportRow[]): string {
  const words = (kind: ExportKind | null) => (kind === null ? 'refused' : KIND_WORDS[kind]);
  const cells = rows.map(({ family, scope, widths, addedBias, hf, gguf }) => [
    family,
    scope,
    widths,
    addedBias ? 'yes' : 'no',
    words(hf),
    words(gguf),
  ]);
  const needy = FAMILIES.filter(({ hf }) => hf.freeHeadDim && hf.headsDivideHidden);
  const names = new Intl.ListFormat('en-GB').format(needy.map(({ name }) => name));
  const head = ['family', 'scope', 'widths', 'added bias', '--format hf', '--format gguf'];
  return [
    ...WHERE,
    '',
    table([head, ...cells], ['left', 'left', 'left', 'left', 'left', 'left']),
    '',
    `Where heads go, the stock class of ${names} takes counts that divide the hidden size alone; others have own modeling code.`,
  ].join('\n');
}
