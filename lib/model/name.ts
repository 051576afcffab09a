import { basename, resolve } from 'node:path';
import { repoOfSnapshot } from '../hub/name';

/** A model's name: the hub's, or that of its folder or file, also where the path ends in none, as `.` does. */
export function modelName(path: string): string {
  return repoOfSnapshot(path) ?? basename(resolve(path));
}
