import type { Command } from 'commander';
import { runsOtherwise } from '../../checkpoint/as-llama-runs';
import {
  type ExportKind,
  type ExportRow,
  exportTable,
  KIND_WORDS,
} from '../../checkpoint/export-table';
import { closest } from '../../closest';
import { StruPruneError } from '../../errors';
import { FAMILIES, familyOfModelType } from '../../model/families';
import { WRAPPERS } from '../../model/wrappers';
import { print, printJson } from '../output/print';
import { table } from '../output/table';

export function addFormats(program: Command): void {
  program
    .command('formats')
    .description('Which pruned models which format holds, family by family.')
    .argument('[family]', 'only this one, or those that begin so: qwen')
    .option('--json', 'JSON alone on stdout')
    .action((family: string | undefined, parsed: { json?: boolean }) => {
      const rows = family === undefined ? exportTable() : rowsOf(family.toLowerCase());
      if (parsed.json) printJson(rows);
      else print(formatsReport(rows));
    });
}

/** Of a family, or of those whose names begin so. @throws StruPruneError ERR_ARGUMENT for a family that is none */
function rowsOf(family: string): ExportRow[] {
  const all = exportTable();
  const rows = all.filter((row) => row.family === family);
  if (rows.length > 0) return rows;
  const begun = all.filter((row) => family !== '' && row.family.startsWith(family));
  if (begun.length > 0) return begun;
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

const SEEING = [
  'Of models of text and images the text model is pruned, and held as its family is; all else is copied. A GGUF file has the text',
  'model alone: llama.cpp has what sees images in a file of its own.',
];
const LEFT = ['left', 'left', 'left'] as const;

/** What a holder depends on, in the order in which rows that it is alike for become one. */
const SETTINGS = ['addedBias', 'scope', 'widths'] as const;
type Line = Record<keyof ExportRow, string>;

/** Equal widths come first, and of those what adds no biases. */
function rankOf({ widths, addedBias }: Line): number {
  return 3 * Number(widths === 'per-block') + ['no', 'any', 'yes'].indexOf(addedBias);
}

/** A family for people: a line for each answer, not one for each question. */
function linesOf(rows: readonly ExportRow[]): Line[] {
  const words = (kind: ExportKind | null) => (kind === null ? 'refused' : KIND_WORDS[kind]);
  const all: Line[] = rows.map((row) => {
    const addedBias = row.addedBias ? 'yes' : 'no';
    return { ...row, addedBias, hf: words(row.hf), gguf: words(row.gguf) };
  });
  return SETTINGS.reduce((lines, setting) => {
    const alike = new Map<string, Line[]>();
    for (const line of lines) {
      const key = JSON.stringify({ ...line, [setting]: '' });
      alike.set(key, [...(alike.get(key) ?? []), line]);
    }
    return [...alike.values()].map((group) => {
      const [first] = group as [Line, ...Line[]];
      const there = new Set(all.map((line) => line[setting])).size;
      const values = group.map((line) => line[setting]);
      const isAny = there > 1 && values.length === there;
      return { ...first, [setting]: isAny ? 'any' : values.join(', ') };
    });
  }, all);
}

function formatsReport(rows: readonly ExportRow[]): string {
  const columns = ['family', 'scope', 'widths', 'addedBias', 'hf', 'gguf'] as const;
  const families = [...new Set(rows.map(({ family }) => family))];
  const lines = families.flatMap((name) =>
    linesOf(rows.filter(({ family }) => family === name)).sort((a, b) => rankOf(a) - rankOf(b)),
  );
  const cells = lines.map((line) => columns.map((column) => line[column]));
  const needy = FAMILIES.filter(({ hf }) => hf.freeHeadDim && hf.headsDivideHidden);
  const names = new Intl.ListFormat('en-GB').format(needy.map(({ name }) => name));
  const shown = new Set(rows.map(({ family }) => family));
  const seeing = WRAPPERS.flatMap(({ stockClass, texts, headsFillHidden }) => {
    const families = texts.map(({ as }) => familyOfModelType(as).name);
    if (!families.some((family) => shown.has(family))) return [];
    const note = headsFillHidden ? 'where heads go, own modeling code' : '';
    return [[stockClass, families.join(', '), note]];
  });
  const openelm = rows.some(({ gguf }) => gguf === 'openelm')
    ? [
        '',
        'llama.cpp (openelm) takes the embedding as head: where the head is another one (Qwen3 8B and above), refused.',
      ]
    : [];
  const otherwise = FAMILIES.filter(({ name }) => shown.has(name)).flatMap((family) => {
    const what = runsOtherwise(family);
    return what === null
      ? []
      : ['', `A GGUF file of ${family.name} is the model as llama.cpp runs it: ${what}.`];
  });
  const head = ['family', 'scope', 'widths', 'added bias', '--format hf', '--format gguf'];
  return [
    ...WHERE,
    '',
    table([head, ...cells], ['left', 'left', 'left', 'left', 'left', 'left']),
    '',
    `Where heads go, the stock class of ${names} takes counts that divide the hidden size alone; others have own modeling code.`,
    ...openelm,
    ...otherwise,
    ...(seeing.length === 0
      ? []
      : ['', ...SEEING, '', table([['class', 'text model', ''], ...seeing], LEFT)]),
  ].join('\n');
}
