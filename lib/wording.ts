/**
 * Messages are written once, here and on the native side, in the command line's words: `raise --memory`. Whoever called
 * the library reads its options' names instead.
 */

/** Flags that are not their option's name with hyphens. */
const ODD: Readonly<Record<string, string>> = {
  maxShardBytes: 'max-shard-size',
  measureGemm: 'gemm-share',
};

/** Options that are switched on by a flag without a value. */
const SWITCHES: readonly string[] = [
  'apart',
  'bf16',
  'chat',
  'depth',
  'force',
  'fullPrecision',
  'keepModels',
  'long',
  'lowRank',
  'maskConfidence',
  'quick',
  'resume',
  'samples',
  'structuredConvolutions',
];

let asCommandLine = false;

/** From now on this process, or thread, has messages as they were written. */
export function speakAsCommandLine(): void {
  asCommandLine = true;
}

/** A message for whoever hears it. What stands between backticks is a command and stays. */
export function worded(text: string): string {
  if (asCommandLine) return text;
  return text
    .replace(/`[^`]*`|(?<=^|[\s(])--(no-)?([a-z][a-z\d-]*)/g, (all, no, name) =>
      name === undefined ? all : inLibrary(optionOf(name), no !== undefined),
    )
    .replace(/(?<=\s)(\d+)MiB(?=[\s,;]|$)/g, '$1 * 2 ** 20');
}

/** The flag of an option. */
export function flagOf(option: string): string {
  const name = ODD[option] ?? option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return `--${name}`;
}

/** An option by the name that whoever reads the message gives it. */
export function nameOf(option: string): string {
  return asCommandLine ? flagOf(option) : option;
}

/** A word of a command, as a shell reads it. */
export function quoted(word: string): string {
  return /^[\w./,:=@+%-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** A command line of flags by the name of their option, quoted where a shell would split; lists by commas. */
export function commandLine(words: readonly string[], flags: readonly [string, unknown][]): string {
  const parts = flags.flatMap(([key, value]) => {
    const flag = flagOf(key);
    if (value === undefined || value === false) return [];
    if (value === true) return [flag];
    return [flag, quoted(Array.isArray(value) ? value.join(',') : String(value))];
  });
  return ['npx', 'struprune-native', ...words.map(quoted), ...parts].join(' ');
}

function optionOf(flag: string): string {
  const odd = Object.keys(ODD).find((option) => ODD[option] === flag);
  return odd ?? flag.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function inLibrary(option: string, off: boolean): string {
  if (off) return `${option}: false`;
  return SWITCHES.includes(option) ? `${option}: true` : option;
}

/** What a benchmark's document says that all methods share, or leaves to each. */
export function sharedInWords({ scope, ffnSolver }: Record<'scope' | 'ffnSolver', string>): string {
  const groups = scope === 'default' ? "each method's own scope" : `scope ${scope}`;
  return ffnSolver === 'default' ? groups : `${groups}, FFN solver ${ffnSolver}`;
}
