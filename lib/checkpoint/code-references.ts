import { oneLine } from '../printable';

/**
 * Keys by which a configuration names code to transformers: classes in Python files, pipelines, kernels of the Hub. Our own
 * text may ask for trust_remote_code, which must not run a stranger's.
 */
const KEYS: ReadonlySet<string> = new Set([
  'auto_map',
  'custom_pipelines',
  'custom_generate',
  'attn_implementation',
  '_attn_implementation',
  'experts_implementation',
  '_experts_implementation',
]);

export interface Stripped<T> {
  value: T;
  /** Where they stood, such as `auto_map of tokenizer_config.json`. */
  dropped: string[];
}

/** A value of JSON without references to code, on any level. @param file its name, for `dropped` */
export function withoutCode<T>(value: T, file: string): Stripped<T> {
  const dropped: string[] = [];
  return { value: strip(value, '', file, dropped) as T, dropped };
}

function strip(value: unknown, path: string, file: string, dropped: string[]): unknown {
  if (Array.isArray(value)) return value.map((part) => strip(part, path, file, dropped));
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(([key]) => {
    if (KEYS.has(key)) dropped.push(`${path}${key} of ${file}`);
    return !KEYS.has(key);
  });
  return Object.fromEntries(
    kept.map(([key, part]) => [key, strip(part, `${path}${key}.`, file, dropped)]),
  );
}

/** What is said of it; none where nothing was dropped. */
export function codeWarnings(dropped: readonly string[]): string[] {
  if (dropped.length === 0) return [];
  const places = oneLine([...new Set(dropped)].join(', '));
  return [`the source names code of its own, which the output does not: ${places}`];
}
