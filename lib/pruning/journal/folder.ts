import { join, resolve } from 'node:path';

/** Where the journal of an output lies: beside it, so that the output can be renamed into its place. */
export function journalFolder(output: string): string {
  return `${resolve(output)}.struprune-journal`;
}

/** Tensors of a finished block, in a journal's folder. */
export function blockPath(folder: string, index: number): string {
  return join(folder, `block-${index}.bin`);
}
