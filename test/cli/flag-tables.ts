/** The flag tables of docs/cli.md, made from the same entries as `--help`. */
import { EVAL_EXTRAS, EVAL_FLAGS } from '../../lib/cli/flags/eval';
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
};

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
