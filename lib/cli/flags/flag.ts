/** A command's flags as data: the parser, `--help` and docs/cli.md are made from the same entries. */
import { type Command, Option as CommandOption } from 'commander';
import type { Option, Options } from '../../options/option';
import { flagOf } from '../../wording';
import { choiceOf, PARSERS } from './values';

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
  /** The default in words. */
  fallback?: string;
}

/** Flags by the name of the library's option that they set; `null`: the command line alone has it. */
export type Flags = readonly (readonly [option: string | null, flag: Flag])[];

/** The flags of a call's options, and further ones. */
export function flagsOf(options: Options, extras: readonly Flag[] = []): Flags {
  return [
    ...Object.entries(options).map(([key, option]) => [key, flagFor(key, option)] as const),
    ...extras.map((flag) => [null, flag] as const),
  ];
}

function flagFor(key: string, option: Option): Flag {
  const { takes, help, group, required, alternative, short } = option;
  const { choices, spellings, writing, off } = takes;
  const value = takes.value && (option.value ?? takes.value);
  const name = off ? `--no-${flagOf(key).slice(2)}` : flagOf(key);
  const flag = [short ? `${short}, ${name}` : name, value].filter(Boolean).join(' ');
  const parse = choices ? choiceOf(choices, spellings) : writing && PARSERS[writing];
  const fallback = fallbackOf(option);
  return { flag, help, group, parse, choices, required, alternative, fallback };
}

/** Default in words; none where a switch says it by itself. */
function fallbackOf({ otherwise, default: fixed }: Option): string | undefined {
  if (otherwise !== undefined) return otherwise;
  return fixed === undefined || typeof fixed === 'boolean' ? undefined : String(fixed);
}

/** Commander's option, with what it does not know of a flag. */
export class FlagOption extends CommandOption {
  alternative = false;
}

export function addFlags(command: Command, flags: Flags): Command {
  for (const [, flag] of flags) command.addOption(optionOf(flag));
  return command;
}

function optionOf(flag: Flag): CommandOption {
  const { fallback, help } = flag;
  const option = new FlagOption(flag.flag, fallback ? `${help} (default: ${fallback})` : help);
  option.helpGroup(`${flag.group}:`);
  option.alternative = flag.alternative === true;
  if (flag.choices) option.choices(flag.choices);
  if (flag.parse) option.argParser(flag.parse);
  if (flag.required) option.makeOptionMandatory();
  return option;
}

/** The library's options out of what commander parsed; what was not given is left out. */
export function optionsFrom<Given>(flags: Flags, parsed: Record<string, unknown>): Given {
  const entries = flags.flatMap(([key, { flag }]) => {
    const value = parsed[new CommandOption(flag).attributeName()];
    return key === null || value === undefined ? [] : [[key, value]];
  });
  return Object.fromEntries(entries) as Given;
}
