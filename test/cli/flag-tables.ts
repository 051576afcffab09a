/** The flag tables of docs/cli.md, made from the same entries as `--help`. */
import { METHOD_ENTRIES } from '../../lib/bench/methods';
import { BENCH_KERNELS_DEFAULTS, BENCH_KERNELS_FLAGS } from '../../lib/cli/flags/bench-kernels';
import { BENCH_MASKS_DEFAULTS, BENCH_MASKS_FLAGS } from '../../lib/cli/flags/bench-masks';
import { BENCH_MEMORY_DEFAULTS, BENCH_MEMORY_FLAGS } from '../../lib/cli/flags/bench-memory';
import { BENCH_PEERS_DEFAULTS, BENCH_PEERS_FLAGS } from '../../lib/cli/flags/bench-peers';
import {
  BENCH_EXTRAS,
  BENCH_QUALITY_DEFAULTS,
  BENCH_QUALITY_FLAGS,
} from '../../lib/cli/flags/bench-quality';
import { BENCH_REPORT_EXTRAS } from '../../lib/cli/flags/bench-report';
import { BENCH_SPEED_DEFAULTS, BENCH_SPEED_FLAGS } from '../../lib/cli/flags/bench-speed';
import { EVAL_EXTRAS, EVAL_FLAGS } from '../../lib/cli/flags/eval';
import { EXPORT_EXTRAS, EXPORT_FLAGS } from '../../lib/cli/flags/export';
import { defaultOf, type Flag } from '../../lib/cli/flags/flag';
import { PRUNE_DEFAULTS, PRUNE_EXTRAS, PRUNE_FLAGS } from '../../lib/cli/flags/prune';

interface Entry extends Flag {
  /** Option of the library; null where the command line alone has it. */
  key: string | null;
  fallbackText: string;
}

function entries(
  table: Record<string, Flag>,
  defaults: object,
  extras: readonly Flag[],
): readonly Entry[] {
  return [
    ...Object.entries(table).map(([key, flag]) => {
      return { ...flag, key, fallbackText: defaultOf(key, flag, defaults) };
    }),
    ...extras.map((flag) => ({ ...flag, key: null, fallbackText: '' })),
  ];
}

/** Markdown by the name that marks its place in docs/cli.md. */
export const FLAG_TABLES: Readonly<Record<string, string>> = {
  prune: markdown(entries(PRUNE_FLAGS, PRUNE_DEFAULTS, PRUNE_EXTRAS)),
  eval: markdown(entries(EVAL_FLAGS, {}, EVAL_EXTRAS)),
  export: markdown(entries(EXPORT_FLAGS, {}, EXPORT_EXTRAS)),
  'bench quality': markdown(entries(BENCH_QUALITY_FLAGS, BENCH_QUALITY_DEFAULTS, BENCH_EXTRAS)),
  'bench masks': markdown(entries(BENCH_MASKS_FLAGS, BENCH_MASKS_DEFAULTS, BENCH_EXTRAS)),
  'bench memory': markdown(entries(BENCH_MEMORY_FLAGS, BENCH_MEMORY_DEFAULTS, BENCH_EXTRAS)),
  'bench kernels': markdown(entries(BENCH_KERNELS_FLAGS, BENCH_KERNELS_DEFAULTS, BENCH_EXTRAS)),
  'bench speed': markdown(entries(BENCH_SPEED_FLAGS, BENCH_SPEED_DEFAULTS, BENCH_EXTRAS)),
  'bench peers': markdown(entries(BENCH_PEERS_FLAGS, BENCH_PEERS_DEFAULTS, BENCH_EXTRAS)),
  'bench report': markdown(entries({}, {}, BENCH_REPORT_EXTRAS)),
};

/** The methods of bench quality, likewise. */
export const METHOD_TABLE = [
  '| name | row | what it is |',
  '|---|---|---|',
  ...METHOD_ENTRIES.map(({ id, label, kind, about }) => {
    const what = kind === 'ablation' ? `ablation: ${about}` : about;
    return `| \`${id}\` | ${label} | ${what} |`;
  }),
].join('\n');

function markdown(all: readonly Entry[]): string {
  const groups = [...new Set(all.map(({ group }) => group))];
  return groups
    .map((group) => {
      const rows = all.filter((entry) => entry.group === group).map(row);
      return [
        `**${group}**`,
        '',
        '| flag | what it does | default | option |',
        '|---|---|---|---|',
        ...rows,
      ].join('\n');
    })
    .join('\n\n');
}

function row({ flag, help, choices, fallbackText, required, key }: Entry): string {
  const values = choices ? `: ${choices.map((choice) => `\`${choice}\``).join(', ')}` : '';
  const standard = required ? 'must be given' : fallbackText;
  return `| \`${flag}\` | ${help}${values} | ${standard} | ${key ? `\`${key}\`` : ''} |`;
}
