import { lstat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { namesIn } from '../../checkpoint/output-path';

/** Where the journal of an output lies: beside it, so that the output can be renamed into its place. */
export function journalFolder(output: string): string {
  return `${resolve(output)}.struprune-journal`;
}

/** Bytes of the files in an output's journal; 0 where there is none. */
export async function journalBytes(output: string): Promise<number> {
  const folder = journalFolder(output);
  const sizes = (await namesIn(folder)).map(async (name) => {
    const found = await lstat(join(folder, name)).catch(() => null);
    return found?.isFile() ? found.size : 0;
  });
  return (await Promise.all(sizes)).reduce((sum, bytes) => sum + bytes, 0);
}
