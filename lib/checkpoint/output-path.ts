/** What may happen at an output path before and after the write; before any work where it can be known. */
import { randomBytes } from 'node:crypto';
import { lstat, mkdir, open, readdir, rmdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { StruPruneError } from '../errors';
import { foreignIn } from './manifest';

export type ExportFormat = 'hf' | 'gguf';

const GGUF = '.gguf';
/** What a folder is not called. */
const WEIGHT_FILE = /\.(safetensors|onnx|bin|pth?)$/;

/** A mend where a GGUF file cannot hold the model: its name alone would ask for one again. */
export const AS_FOLDER =
  'write a Hugging Face folder instead: a path that does not end in .gguf, without --format gguf';

export interface AtomicOptions {
  /** Take the place of what is at the target (`--force`); else an existing target is ERR_OUTPUT. */
  replace?: boolean;
  /**
   * A folder of the caller's on the target's file system: what is half written, and what steps aside for it, has fixed
   * names there (`WORK_NAMES`), so that after a kill the next run finds it. Else random names beside the target.
   */
  work?: string;
  /** Read by this run alone: it need not reach the disk. */
  passing?: boolean;
}

/** Names inside `AtomicOptions.work`: the new output before its commit, the old one while they change places. */
export const WORK_NAMES = { output: 'output', replaced: 'replaced' } as const;

/** On the same file system, so that the rename is one step; hidden from careless globs. */
export function temporaryName(
  target: string,
  role: keyof typeof WORK_NAMES,
  { work }: AtomicOptions,
): string {
  if (work !== undefined) return join(work, WORK_NAMES[role]);
  return join(dirname(target), `.${basename(target)}.${randomBytes(6).toString('hex')}.partial`);
}

export async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/** Names in a folder; none where there is no folder. */
export async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw error;
  }
}

/** Refuses a target that is there and may not be replaced. */
export async function requireReplaceable(
  target: string,
  kind: 'file' | 'folder',
  options: AtomicOptions,
): Promise<void> {
  await requireNoMount(target);
  if (!(await exists(target))) return;
  if (!options.replace) {
    throw new StruPruneError(
      'ERR_OUTPUT',
      `${target} exists already`,
      'give another path, or --force to replace it',
    );
  }
  const found = await lstat(target);
  if (found.isSymbolicLink() && kind === 'folder') {
    throw new StruPruneError(
      'ERR_OUTPUT',
      `${target} is a symbolic link, and a folder is to be written`,
      'give the path that it leads to, or another one',
    );
  }
  const isFolder = found.isDirectory();
  if (isFolder !== (kind === 'folder')) {
    throw new StruPruneError(
      'ERR_OUTPUT',
      `${target} is a ${isFolder ? 'folder' : 'file'}, and a ${kind} is to be written`,
      'give another path',
    );
  }
  if (isFolder && (await readdir(target)).length > 0) await requireOwnFiles(target);
}

/** `--force` on a home folder by mistake, or on one that has a user's notes, must remove nothing of others. */
async function requireOwnFiles(folder: string): Promise<void> {
  const foreign = await foreignIn(folder);
  if (foreign === null) {
    throw new StruPruneError(
      'ERR_OUTPUT',
      `${folder} is not a folder that this program wrote, so it is not replaced`,
      'give another path, or remove the folder yourself',
    );
  }
  if (foreign.length === 0) return;
  const [first, ...more] = foreign;
  throw new StruPruneError(
    'ERR_OUTPUT',
    `${folder} has what this program did not write, or others have changed (${first}${more.length ? ` and ${more.length} more` : ''}), so it is not replaced`,
    'move that elsewhere, or give another path',
  );
}

/** Refuses a target where a file system begins, such as a container's volume: nothing can be renamed into its place. */
export async function requireNoMount(target: string): Promise<void> {
  if (!(await exists(target))) return;
  const found = await lstat(target);
  if (found.dev === (await stat(dirname(target))).dev) return;
  throw new StruPruneError(
    'ERR_OUTPUT',
    `${target} is a mount point, which nothing can take the place of`,
    found.isDirectory() ? 'give a folder inside it' : 'give another path',
  );
}

/** By its name. */
export function isGguf(target: string): boolean {
  return target.toLowerCase().endsWith(GGUF);
}

/** By its name. */
export function isOnnx(path: string): boolean {
  return /\.onnx$/i.test(path);
}

/** The format that was asked for, else the one that the name of the output speaks for. */
export function formatFor(target: string, asked: ExportFormat | undefined): ExportFormat {
  return asked ?? (isGguf(target) ? 'gguf' : 'hf');
}

/** Loaders tell the formats apart by the name. */
export function requireName(target: string, format: ExportFormat): void {
  if (format === 'hf' && WEIGHT_FILE.test(target)) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `${target} is the name of a file, and a Hugging Face folder is to be written`,
      `write to ${target.replace(WEIGHT_FILE, '')}, or a file that ends in ${GGUF}`,
    );
  }
  if (isGguf(target) === (format === 'gguf')) return;
  throw format === 'gguf'
    ? new StruPruneError(
        'ERR_ARGUMENT',
        `the name of a GGUF file ends in ${GGUF}, and ${target} does not`,
        `write to ${target}${GGUF}`,
      )
    : new StruPruneError(
        'ERR_ARGUMENT',
        `${target} is the name of a GGUF file, and a Hugging Face folder is to be written`,
        'choose --format gguf, or give another path',
      );
}

/** Makes the folders above the target; returns the topmost one that was not there. */
export function makeParents(target: string): Promise<string | undefined> {
  return makeFolder(dirname(target));
}

/**
 * Makes a folder that may be there, and those above it; returns the topmost one that was not there. Node's own
 * recursive mkdir never returns where a file system says ENOENT to every new folder, as /proc does.
 */
export async function makeFolder(path: string): Promise<string | undefined> {
  const missing: string[] = [];
  for (let folder = path; !(await exists(folder)); folder = dirname(folder)) {
    missing.unshift(folder);
  }
  for (const [made, folder] of missing.entries()) {
    try {
      await mkdir(folder);
    } catch (error) {
      // Somebody else made it meanwhile.
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') continue;
      if (made > 0) await removeParents(folder, missing[0]);
      throw error;
    }
  }
  return missing[0];
}

/** Undoes `makeParents`, unless somebody has put something there since. */
export async function removeParents(target: string, topmost: string | undefined): Promise<void> {
  if (topmost === undefined) return;
  try {
    for (let folder = dirname(target); ; folder = dirname(folder)) {
      await rmdir(folder);
      if (folder === topmost) return;
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST' && code !== 'ENOENT') throw error;
  }
}

/** Waits until the file or folder is on the disk. Windows does it through descriptors that may write, and folders have none there. */
export async function sync(path: string): Promise<void> {
  const isWindows = process.platform === 'win32';
  if (isWindows && (await stat(path)).isDirectory()) return;
  const handle = await open(path, isWindows ? 'r+' : 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** `sync` for a folder and all in it. */
export async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    await (entry.isDirectory() ? syncTree(path) : sync(path));
  }
  await sync(folder);
}
