/** Files that must hold a JSON object. */
import { isUtf8 } from 'node:buffer';
import { StruPruneError } from './errors';
import type { Refusal } from './regular-file';

/** What a clone without git-lfs has in a file's place begins so. */
const LFS_POINTER = 'version https://git-lfs.github.com/';

/** As Rust's serde: deeper ones would end the stack of whoever walks them. */
const MOST_LEVELS = 128;

/** The object in the bytes of a file. @throws StruPruneError `refusal` */
export function parseJsonObject<T = Record<string, unknown>>(
  bytes: Buffer,
  path: string,
  { code, mend }: Refusal,
): T {
  if (bytes.toString('latin1', 0, LFS_POINTER.length) === LFS_POINTER) {
    const found = `${path} is a Git LFS pointer and not the file itself`;
    throw new StruPruneError(code, found, 'fetch the file: git lfs pull in its repository');
  }
  const refused = (what: string, options?: ErrorOptions) =>
    new StruPruneError(code, `${path} ${what}`, mend, options);
  if (!isUtf8(bytes)) throw refused('is not UTF-8');
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw refused('is not a JSON object', { cause });
  }
  if (!isObject(value)) throw refused('is not a JSON object');
  if (!hasLevels(value, MOST_LEVELS)) throw refused(`is nested deeper than ${MOST_LEVELS} levels`);
  return value as T;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The object but for some keys. */
export function without(
  object: Record<string, unknown>,
  keys: readonly unknown[],
): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).filter(([key]) => !keys.includes(key)));
}

/** Whether a value has at most so many levels. */
function hasLevels(value: unknown, most: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return most > 0 && Object.values(value).every((part) => hasLevels(part, most - 1));
}
