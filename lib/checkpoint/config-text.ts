import { isObject, parseJsonObject } from '../json-object';
import type { Refusal } from '../regular-file';

/** Keys whose values transformers takes as floats alone: a whole number is written with its point. */
const FLOATS = [
  'attn_logit_softcapping',
  'final_logit_softcapping',
  'initializer_range',
  'router_aux_loss_coef',
  'router_jitter_noise',
  'swiglu_alpha',
  'swiglu_limit',
];

/** Numbers that Python's json writes by these words, and JSON has not. */
const NUMBERS: ReadonlyMap<string, number> = new Map([
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
]);
/** In front of such a word as a string. */
const MARK = '\0';

/** The object in a config.json, which may have such numbers. @throws StruPruneError `refusal` */
export function parseConfig(
  bytes: Buffer,
  path: string,
  refusal: Refusal,
): Record<string, unknown> {
  // Strings are stepped over; a byte is a character, so that bytes which are no UTF-8 stay such.
  const tokens = /"(?:[^"\\]+|\\.)*"?|(?:-?Infinity|NaN)(?=\s*[,\]}])/gs;
  const marked = bytes
    .toString('latin1')
    .replace(tokens, (token) => (NUMBERS.has(token) ? JSON.stringify(MARK + token) : token));
  const config = parseJsonObject(Buffer.from(marked, 'latin1'), path, refusal);
  return unmarked(config) as Record<string, unknown>;
}

function unmarked(value: unknown): unknown {
  if (typeof value === 'string') {
    return (value.startsWith(MARK) ? NUMBERS.get(value.slice(MARK.length)) : undefined) ?? value;
  }
  if (Array.isArray(value)) return value.map(unmarked);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, unmarked(part)]));
}

/** config.json of a folder. @param floats of such keys, those that its source tells: `floatsIn` */
export function configText(
  config: Record<string, unknown>,
  floats: readonly string[] = [],
): string {
  const keys = [...FLOATS, ...floats].join('|');
  const whole = new RegExp(`("(?:${keys})": -?\\d+)(?=,?$)`, 'gm');
  const mark = (_key: string, value: unknown) =>
    typeof value === 'number' && !Number.isFinite(value) ? `${MARK}${value}` : value;
  return `${JSON.stringify(config, mark, 2)}\n`
    .replace(whole, '$1.0')
    .replaceAll(/"\\u0000(-?Infinity|NaN)"/g, '$1');
}

/** Keys of a config.json that have a whole number with a point somewhere. */
export function floatsIn(text: string): string[] {
  const found = text.matchAll(/"(\w+)"\s*:\s*-?\d+\.0+(?=[\s,}])/g);
  return [...new Set([...found].map(([, key]) => key!))];
}
