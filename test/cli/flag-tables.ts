/** The flag tables of docs/cli.md, made from the same entries as `--help`. */
import { METHOD_ENTRIES } from '../../lib/bench/methods';
import { FLAGS } from '../../lib/cli/flags';
import type { Flags } from '../../lib/cli/flags/flag';

/** Those with a table of their own. */
const { plan, bench, ...DOCUMENTED } = FLAGS;

/** Markdown by the name that marks its place in docs/cli.md. */
export const FLAG_TABLES: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(DOCUMENTED).map(([command, flags]) => [command, markdown(flags)]),
);

/** The methods of bench quality, likewise. */
export const METHOD_TABLE = [
  '| name | row | what it is |',
  '|---|---|---|',
  ...METHOD_ENTRIES.map(({ id, label, kind, about }) => {
    const what = kind === 'ablation' ? `ablation: ${about}` : about;
    return `| \`${id}\` | ${label} | ${what} |`;
  }),
].join('\n');

function markdown(flags: Flags): string {
  const groups = [...new Set(flags.map(([, { group }]) => group))];
  return groups
    .map((group) => {
      const rows = flags.filter(([, flag]) => flag.group === group).map(row);
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

function row([option, { flag, help, choices, fallback = '', required }]: Flags[number]): string {
  const values = choices ? `: ${choices.map((choice) => `\`${choice}\``).join(', ')}` : '';
  const standard = required ? 'must be given' : fallback;
  return `| \`${flag}\` | ${help}${values} | ${standard} | ${option ? `\`${option}\`` : ''} |`;
}
