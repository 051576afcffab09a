/** Names of models. */
import { basename, dirname, resolve } from 'node:path';

/** A model's folder in the hub's cache. */
const CACHED = /^models--(.+?)--(.+)$/;

/** A model's name: the hub's, or that of its folder or file, also where the path ends in none, as `.` does. */
export function modelName(path: string): string {
  return repoOfSnapshot(path) ?? basename(resolve(path));
}

/** `owner/name` of a folder that has such a name; null for any other. */
export function cachedRepo(folder: string): string | null {
  const [, owner, name] = CACHED.exec(basename(resolve(folder))) ?? [];
  return owner && name ? `${owner}/${name}` : null;
}

/** `owner/name` of a cache's snapshot; null for any other path. */
export function repoOfSnapshot(path: string): string | null {
  const snapshots = dirname(resolve(path));
  return basename(snapshots) === 'snapshots' ? cachedRepo(dirname(snapshots)) : null;
}
