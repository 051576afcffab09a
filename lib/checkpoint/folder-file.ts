/** What is read of a Hugging Face folder beside its weights. Much of it goes into the output: it must be the folder's own. */
import { realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { StruPruneError } from '../errors';
import { parseJsonObject } from '../json-object';
import { type Refusal, readRegular } from '../regular-file';

/**
 * A file of the folder by its name, which may lead into another one; null where there is none.
 * @throws StruPruneError `code` of the refusal, for what is no regular file, too large, or a link out of the folder
 */
export function readFolderFile(
  folder: string,
  name: string,
  refusal: Refusal,
  most?: number,
): Buffer | null {
  const path = join(folder, name);
  const lies = realPath(path);
  if (lies === null) return null;
  const home = realpathSync(folder);
  if (lies !== join(home, name) && !isBlob(lies, home)) {
    throw new StruPruneError(
      refusal.code,
      `${path} is a link to ${lies}, which is not the model's own file`,
      "put the file itself there: only the links of Hugging Face's cache are followed",
    );
  }
  return readRegular(path, refusal, most);
}

/** The JSON object in a file of the folder; null where there is no such file. @throws StruPruneError as readFolderFile */
export function readFolderJson<T = Record<string, unknown>>(
  folder: string,
  name: string,
  refusal: Refusal,
  most?: number,
): T | null {
  const bytes = readFolderFile(folder, name, refusal, most);
  return bytes && parseJsonObject<T>(bytes, join(folder, name), refusal);
}

/** Hugging Face's cache has a model's files in `blobs`, and links to them in `snapshots/<revision>`. */
function isBlob(path: string, home: string): boolean {
  const snapshots = dirname(home);
  const blobs = join(dirname(snapshots), 'blobs');
  return basename(snapshots) === 'snapshots' && dirname(path) === blobs;
}

/** Without symbolic links; null where nothing is there. */
function realPath(path: string): string | null {
  try {
    return realpathSync(path);
  } catch {
    return null;
  }
}
