/** A command's flags as data: the parser, `--help` and docs/cli.md are made from the same entries. */
import { type Command, Option } from 'commander';

export interface Flag {
  /** As commander writes it: `-o, --output <path>`, `--no-refit`. */
  flag: string;
  /** One line, without the default. */
  help: string;
  group: string;
  /** Turns the text into the option's value; the text itself when left out. */
  parse?: (text: string) => unknown;
  choices?: readonly string[];
  /** Commander refuses the command without it. */
  required?: boolean;
  /** One of those of the command must be given. */
  alternative?: boolean;
  /** Default in words, where it is not a fixed value of the library. */
  fallback?: string;
  /** A value of the command line's own; the library's default applies where left out. */
  value?: unknown;
}

/** Flags by the name of the library's option that they set. */
export type FlagTable<Key extends string = string> = Record<Key, Flag>;

/**
 * Adds the flags of a table, and further ones, to a command. `defaults`: the library's values, for the help
 * text.
 */
export function addFlags(
  command: Command,
  table: FlagTable,
  defaults: object = {},
  extras: readonly Flag[] = [],
): Command {
  const options = [
    ...Object.entries(table).map(([key, flag]) => optionOf(flag, helpOf(key, flag, defaults))),
    ...extras.map((flag) => optionOf(flag, flag.help)),
  ];
  for (const option of options) command.addOption(option);
  return command;
}

/** Commander's option, with what it does not know of a flag. */
export class FlagOption extends Option {
  alternative = false;
}

function optionOf(flag: Flag, help: string): Option {
  const option = new FlagOption(flag.flag, help);
  option.helpGroup(`${flag.group}:`);
  option.alternative = flag.alternative === true;
  if (flag.choices) option.choices(flag.choices);
  if (flag.parse) option.argParser(flag.parse);
  if (flag.required) option.makeOptionMandatory();
  return option;
}

/** The library's options out of what commander parsed; what was not given is left out. */
export function optionsFrom<Options>(table: FlagTable, parsed: Record<string, unknown>): Options {
  const entries = Object.entries(table).map(([key, { flag, value }]) => {
    return [key, parsed[new Option(flag).attributeName()] ?? value];
  });
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined)) as Options;
}

/** Help line with its default: of the flag's own words, else of the library. */
function helpOf(key: string, flag: Flag, defaults: object): string {
  const fallback = defaultOf(key, flag, defaults);
  return fallback === '' ? flag.help : `${flag.help} (default: ${fallback})`;
}

/** Default in words; empty where there is none, or where a `--no-…` flag says it by itself. */
export function defaultOf(key: string, flag: Flag, defaults: object): string {
  if (flag.fallback !== undefined) return flag.fallback;
  const value: unknown = (defaults as Record<string, unknown>)[key];
  return value === undefined || typeof value === 'boolean' ? '' : String(value);
}
