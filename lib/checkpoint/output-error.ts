import { StruPruneError, scarcity } from '../errors';

/** What each failure of the file system means for somebody who gave an output path, and the mend. */
const MEANINGS: Record<string, [meaning: string, mend: string]> = {
  ENOSPC: ['the disk is full', 'free some space, or give a path on another disk'],
  EDQUOT: ['the disk quota is used up', 'free some space, or give a path on another disk'],
  EFBIG: ['the file is larger than the system allows', 'give a path on another file system'],
  EACCES: ['this user may not write there', 'give a path that you can write to'],
  EPERM: ['this user may not write there', 'give a path that you can write to'],
  EROFS: ['the file system is read-only', 'give a path on a file system that can be written'],
  EEXIST: ['a part of the path is a file', 'give a path whose parents are folders'],
  ENOTDIR: ['a part of the path is a file', 'give a path whose parents are folders'],
  ENAMETOOLONG: ['the name is too long', 'give a shorter name'],
  EIO: ['the disk reports an error', 'check the disk, or give a path on another one'],
};

/** The ERR_OUTPUT for a failed write to `target`; errors that are named already or say nothing of it pass through. */
export function outputError(target: string, error: unknown): StruPruneError {
  if (error instanceof StruPruneError) return error;
  const scarce = scarcity(error);
  if (scarce) return scarce;
  const { code = '', message } = error as NodeJS.ErrnoException;
  const [meaning, mend] = MEANINGS[code] ?? [message, 'check the output path'];
  return new StruPruneError('ERR_OUTPUT', `cannot write ${target}: ${meaning}`, mend, {
    cause: error,
  });
}

/** Runs `work`, whose failures become ERR_OUTPUT for `target`. */
export async function asOutput<T>(target: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw outputError(target, error);
  }
}
