/** Files that are read whole. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { type ErrorCode, StruPruneError, scarcity } from './errors';

/** What is said of a file that holds something else. */
export interface Refusal {
  code: ErrorCode;
  mend: string;
}

/** The largest index of a published checkpoint has 15 MB, a configuration some KB. */
const MOST_BYTES = 2 ** 24;

/**
 * The bytes of a file; null where there is none. A pipe or a device is refused without waiting for it.
 * @throws StruPruneError `code` of the refusal, for a file that cannot be read or has more than `most` bytes
 */
export function readRegular(path: string, { code }: Refusal, most = MOST_BYTES): Buffer | null {
  const refused = (found: string, mend: string, cause?: unknown) =>
    new StruPruneError(code, `${path} ${found}`, mend, { cause });
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw (
      scarcity(cause) ??
      refused(`cannot be read: ${message}`, 'check that this user may read it', cause)
    );
  }
  try {
    const found = fstatSync(file);
    if (!found.isFile()) throw refused('is not a regular file', 'put the file itself there');
    if (found.size > most) {
      throw refused(
        `has ${found.size} bytes, more than ${most}`,
        'check that it is what it should',
      );
    }
    const bytes = Buffer.alloc(found.size);
    return bytes.subarray(0, readSync(file, bytes, 0, bytes.length, 0));
  } finally {
    closeSync(file);
  }
}
