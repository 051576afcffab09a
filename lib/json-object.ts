/** Files that must hold a JSON object. */
import { isUtf8 } from 'node:buffer';
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
  return existsSync(path) ? objectFrom(() => readUtf8(path), path, refusal) : null;
}

/** The object in the text of a file. @throws StruPruneError `refusal` */
export function parseJsonObject(text: string, path: string, refusal: Refusal) {
  return objectFrom<Record<string, unknown>>(() => text, path, refusal);
}

/** @throws where the file is not UTF-8: other readers refuse it too */
function readUtf8(path: string): string {
  const bytes = readFileSync(path);
  if (!isUtf8(bytes)) throw new Error(`${path} is not UTF-8`);
  return bytes.toString();
}

function objectFrom<T>(read: () => string, path: string, { code, mend }: Refusal): T {
  const refused = (options?: ErrorOptions) =>
    new StruPruneError(code, `${path} is not a JSON object`, mend, options);
  let text = '';
  let value: unknown;
  try {
    text = read();
    requireShallow(text);
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

/** As of Rust's serde, which reads such files too; what walks through a value deeper than that may run out of stack. */
const DEEPEST = 128;

/** @throws where lists and objects of a JSON text are nested deeper */
function requireShallow(text: string): void {
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const sign = text[at];
    if (quoted) {
      if (sign === '\\') at++;
      else if (sign === '"') quoted = false;
    } else if (sign === '"') {
      quoted = true;
    } else if (sign === '{' || sign === '[') {
      if (++depth >= DEEPEST) throw new Error(`nested deeper than ${DEEPEST}`);
    } else if (sign === '}' || sign === ']') {
      depth--;
    }
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
