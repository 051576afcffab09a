import { rmSync } from 'node:fs';

/** Temporary names of outputs that this process has begun and neither put in place nor removed. */
export const unfinished = new Set<string>();

/** For an exit that cannot wait for the writers: removes what they have written so far. */
export function removeUnfinished(): void {
  for (const path of unfinished) rmSync(path, { recursive: true, force: true });
}
