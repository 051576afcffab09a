import { METHOD_WORDS } from '../../bench/methods';
import {
  type QualityOptions,
  type QualitySettings,
  qualitySettings,
} from '../../bench/quality/options';
import { DTYPES, FFN_SOLVERS, FORMATS, SCOPES } from '../../pruning/options';
import { ANY_TEXT, CALIBRATION_FLAGS } from './bench-calibration';
import type { Flag, FlagTable } from './flag';
import { MACHINE_FLAGS } from './machine';
import { PRUNE_FLAGS } from './prune';
import { count, countOrNone, names, shares } from './values';

const rows = 'Rows';
const data = 'Text';
const what = 'Model';
const out = 'Output';
const machine = 'Machine';

type Keys = keyof Omit<QualityOptions, 'signal' | 'onProgress' | 'onNotice' | 'onUnfinished'>;

/** A flag for every option of benchQuality(). */
export const BENCH_QUALITY_FLAGS: FlagTable<Keys> = {
  sparsities: {
    flag: '--sparsities <list>',
    help: "shares of the blocks' linear weights to remove, by commas",
    group: rows,
    parse: shares,
  },
  methods: {
    flag: '--methods <list>',
    help: `by commas: ${METHOD_WORDS.join(', ')}`,
    group: rows,
    parse: names,
  },
  quick: {
    flag: '--quick',
    help: 'smaller defaults that answer within a few minutes: fewer tokens, one sparsity, five methods',
    group: rows,
  },

  ...CALIBRATION_FLAGS,
  window: PRUNE_FLAGS.window,
  eval: {
    flag: '--eval <file...>',
    help: 'texts to measure on',
    group: data,
    fallback: 'a text of this package',
  },
  evalTokens: {
    flag: '--eval-tokens <n>',
    help: 'use the first n tokens of each',
    group: data,
    parse: count,
  },
  evalWindow: PRUNE_FLAGS.evalWindow,

  scope: {
    flag: '--scope <name>',
    help: 'prune FFN channels, KV heads with their query heads, or both',
    group: what,
    choices: SCOPES,
    fallback: "each method's own: ffn where all sites give the same share, else all",
  },
  ffnSolver: {
    flag: '--ffn-solver <name>',
    help: 'what of an FFN is refitted by methods that leave it open: its output map, or gate and up too',
    group: what,
    choices: FFN_SOLVERS,
    fallback: 'as prune has it',
  },
  format: { flag: '--format <name>', help: 'what is written', group: what, choices: FORMATS },
  dtype: {
    flag: '--dtype <name>',
    help: 'weights of the written files; from q8_0 on for gguf alone',
    group: what,
    choices: DTYPES,
    fallback: 'as prune has it for what is refitted; here every matrix has it',
  },
  multiple: {
    flag: '--multiple <n>',
    help: 'FFN widths are multiples of n',
    group: what,
    parse: count,
    fallback: '8, or 32 from q8_0 on',
  },
  seed: { flag: '--seed <n>', help: 'of drawn Fisher labels', group: what, parse: countOrNone },

  output: {
    flag: '-o, --output <folder>',
    help: 'for quality.json, quality.csv, and rows.jsonl and surveys, by which an interrupted run goes on',
    group: out,
  },
  keepModels: {
    flag: '--keep-models',
    help: 'keep every pruned model, in models/ of that folder',
    group: out,
  },
  force: { flag: '--force', help: 'throw away results of other settings', group: out },

  ...MACHINE_FLAGS,
  scratch: {
    flag: '--scratch <folder>',
    help: 'for hidden states, and pruned models while they are measured',
    group: machine,
    fallback: "the system's temporary folder",
  },
};

/** Those of plain `bench`, whose rows are settled. */
export const BENCH_FLAGS: FlagTable<'output' | 'force'> = {
  output: BENCH_QUALITY_FLAGS.output,
  force: BENCH_QUALITY_FLAGS.force,
};

export const BENCH_EXTRAS: readonly Flag[] = [
  { flag: '--json', help: 'the document on stdout too, and nothing else there', group: out },
];

/** The library's defaults, for help and documentation. */
export const BENCH_QUALITY_DEFAULTS: QualitySettings = qualitySettings({
  calibration: ANY_TEXT,
  eval: [ANY_TEXT],
});
