import { basename, resolve } from 'node:path';

/** A model's name: that of its folder or file, also where the path ends in none, as `.` does. */
export function modelName(path: string): string {
  return basename(resolve(path));
}
