/** Command lines that cannot be meant, in our own form. */
import type { Command, CommanderError } from 'commander';
import { closest } from '../../closest';
import { StruPruneError } from '../../errors';
import { FlagOption } from '../flags/flag';

/** The command that the words of a command line lead to. @throws StruPruneError ERR_ARGUMENT for a word that is none */
export function commandOf(program: Command, words: readonly string[]): Command {
  let command = program;
  for (const word of words) {
    if (word.startsWith('-') || command.commands.length === 0) break;
    const next = command.commands.find((known) => known.name() === word);
    if (!next) throw unknownCommand(word, command);
    command = next;
  }
  return command;
}

function unknownCommand(word: string, command: Command): StruPruneError {
  const meant = closest(
    word,
    command.commands.map((known) => known.name()),
  );
  const of = command.parent ? ` of ${command.name()}` : '';
  const help = `see ${nameOf(command)} --help`;
  return new StruPruneError(
    'ERR_ARGUMENT',
    `unknown command '${word}'${of}`,
    meant ? `did you mean ${meant}? ${help}` : help,
  );
}

/** Commander's complaint; of what is missing all of it. */
export function usageError({ code, message }: CommanderError, command: Command): StruPruneError {
  const help = `see ${nameOf(command)} --help`;
  if (/missing(Argument|MandatoryOptionValue)$/.test(code)) return missing(command, help);
  const word = /unknown option '([^']+)/.exec(message)?.[1];
  if (word) return unknownFlag(word, command, help);
  const text = message
    .replace(/^error: /, '')
    .replace(/\.?\n?\(Did you mean/, ' (did you mean')
    .replace(/\.$/, '');
  return new StruPruneError('ERR_ARGUMENT', text, help);
}

function missing(command: Command, help: string): StruPruneError {
  const { registeredArguments, options, args } = command;
  const unknown = args.find((word) => /^-[^-\d]|^--./.test(word));
  if (unknown) return unknownFlag(unknown, command, help);
  const given = (option: FlagOption) =>
    command.getOptionValue(option.attributeName()) !== undefined;
  const flags = options.filter((option) => option instanceof FlagOption);
  const left = registeredArguments.slice(args.length).filter(({ required }) => required);
  const alternatives = flags.filter(({ alternative }) => alternative);
  const all = [
    ...left.map((argument) => `<${argument.name()}>`),
    ...flags
      .filter((option) => option.mandatory && !given(option))
      .map((option) => shortOf(option)),
    ...(alternatives.length > 0 && !alternatives.some(given)
      ? [`one of ${listed(alternatives.map(({ long }) => long!))}`]
      : []),
  ];
  const hint = left.length > 0 ? flags.map((option) => hintOf(option, command)).join('') : '';
  return new StruPruneError('ERR_ARGUMENT', `missing: ${listed(all)}`, `${hint}${help}`);
}

/** What other programs of the field, and llama.cpp's, call some of them. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  '--ratio': '--sparsity',
  '--prune-ratio': '--sparsity',
  '--pruning-ratio': '--sparsity',
  '--sparsity-ratio': '--sparsity',
  '--dataset': '--calibration',
  '--nsamples': '--calibration-tokens',
  '--num-samples': '--calibration-tokens',
  '--seqlen': '--window',
  '--seq-len': '--window',
  '--output-dir': '--output',
  '--save': '--output',
  '--save-model': '--output',
  '--outtype': '--dtype',
  '--tokens': '--max-tokens',
  '--n-predict': '--max-tokens',
};

/** What commander would say if nothing were missing; most often it is the misspelt flag that is. */
function unknownFlag(word: string, { options }: Command, help: string): StruPruneError {
  const flag = word.split('=')[0]!;
  const names = options.flatMap(({ long }) => long ?? []);
  const named = ELSEWHERE[flag.toLowerCase().replaceAll('_', '-')];
  const meant = named && names.includes(named) ? named : closest(flag, names);
  const text = `unknown option '${flag}'${meant ? ` (did you mean ${meant}?)` : ''}`;
  return new StruPruneError('ERR_ARGUMENT', text, help);
}

/** `--report MODEL`, `--eval FILE MODEL`: a flag that may stand alone, or takes several words, took the one behind it. */
function hintOf(option: FlagOption, command: Command): string {
  const value: unknown = command.getOptionValue(option.attributeName());
  if (!option.optional && !option.variadic) return '';
  if (command.getOptionValueSource(option.attributeName()) !== 'cli') return '';
  const taken = Array.isArray(value) ? value.at(-1) : value;
  if (typeof taken !== 'string') return '';
  return `${option.long} took '${taken}' for its own: put ${option.long} last; `;
}

/** `-o <path>` of `-o, --output <path>`. */
function shortOf({ flags }: FlagOption): string {
  return flags.replace(/, --[\w-]+/, '');
}

function listed(words: readonly string[]): string {
  return [words.slice(0, -1).join(', '), words.at(-1)].filter(Boolean).join(' and ');
}

/** `struprune-native bench quality`. */
function nameOf(command: Command): string {
  return command.parent ? `${nameOf(command.parent)} ${command.name()}` : command.name();
}
