/** Files that must hold a JSON object. */
import { existsSync, readFileSync } from 'node:fs';
import { type ErrorCode, StruPruneError } from './errors';

/** What is said of a file that holds something else. */
export interface Refusal {
  code: ErrorCode;
  mend: string;
}

/** What a clone without git-lfs has in a file's place begins so. */
const LFS_POINTER = 'version https://git-lfs.github.com/';

/** The object in a file; null where there is no such file. @throws StruPruneError `refusal`, for a file that cannot be read too */
export function readJsonObject<T = Record<string, unknown>>(
  path: string,
  refusal: Refusal,
): T | null {
  return existsSync(path) ? objectFrom(() => readFileSync(path, 'utf8'), path, refusal) : null;
}

/** The object in the text of a file. @throws StruPruneError `refusal` */
export function parseJsonObject(text: string, path: string, refusal: Refusal) {
  return objectFrom<Record<string, unknown>>(() => text, path, refusal);
}

function objectFrom<T>(read: () => string, path: string, { code, mend }: Refusal): T {
  const refused = (options?: ErrorOptions) =>
    new StruPruneError(code, `${path} is not a JSON object`, mend, options);
  let text = '';
  let value: unknown;
  try {
    text = read();
    value = JSON.parse(text);
  } catch (cause) {
    if (!text.startsWith(LFS_POINTER)) throw refused({ cause });
    const found = `${path} is a Git LFS pointer and not the file itself`;
    throw new StruPruneError(code, found, 'fetch the file: git lfs pull in its repository', {
      cause,
    });
  }
  if (!isObject(value)) throw refused();
  return value as T;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
