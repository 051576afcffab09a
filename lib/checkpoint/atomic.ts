/**
 * Output that is either whole or absent: everything is written under a temporary name beside the target
 * and renamed at the end, after it has reached the disk.
 */
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

import { StruPruneError } from '../errors';
import { writeManifest } from './manifest';
import { asOutput } from './output-error';
import {
  type AtomicOptions,
  exists,
  makeParents,
  removeParents,
  requireReplaceable,
  sync,
  syncTree,
  temporaryName,
} from './output-path';
import { pieces } from './pieces';
import { unfinished } from './unfinished';

export type { AtomicOptions } from './output-path';

/** Runs `work`; when it fails, the output is removed before the error goes on. */
export async function orAbort<T>(
  output: { abort(): Promise<void> },
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    // The first failure is the one to tell of.
    await output.abort().catch(() => {});
    throw error;
  }
}

/** One file. @throws StruPruneError ERR_OUTPUT from every method */
export class AtomicFile {
  private handle: FileHandle | null;

  private constructor(
    readonly target: string,
    /** Where the bytes are until `commit`. */
    readonly temporary: string,
    handle: FileHandle,
    private readonly options: AtomicOptions,
    private readonly madeParents: string | undefined,
  ) {
    this.handle = handle;
  }

  static create(path: string, options: AtomicOptions = {}): Promise<AtomicFile> {
    const target = resolve(path);
    return asOutput(target, async () => {
      await requireReplaceable(target, 'file', options);
      const made = await makeParents(target);
      const temporary = temporaryName(target, 'output', options);
      try {
        const handle = await open(temporary, 'wx');
        unfinished.add(temporary);
        return new AtomicFile(target, temporary, handle, options, made);
      } catch (error) {
        await removeParents(target, made);
        throw error;
      }
    });
  }

  /** Appends the bytes, which the caller may change again once the promise has settled. */
  write(bytes: Uint8Array): Promise<void> {
    return asOutput(this.target, () => this.opened().writeFile(bytes));
  }

  /** Brings everything to the disk and lets the file descriptor go; only `commit` and `abort` may follow. */
  finish(): Promise<void> {
    return asOutput(this.target, async () => {
      if (!this.options.passing) await this.opened().sync();
      await this.closeHandle();
    });
  }

  /** Puts the file in its place. */
  async commit(): Promise<void> {
    if (this.handle) await this.finish();
    await asOutput(this.target, async () => {
      await requireReplaceable(this.target, 'file', this.options);
      await rename(this.temporary, this.target);
      unfinished.delete(this.temporary);
      if (!this.options.passing) await sync(dirname(this.target));
    });
  }

  /** Removes what was written; to be called after any failure, harmless after `commit`. */
  async abort(): Promise<void> {
    try {
      await this.closeHandle();
    } finally {
      await rm(this.temporary, { force: true });
      unfinished.delete(this.temporary);
      await removeParents(this.target, this.madeParents);
    }
  }

  private opened(): FileHandle {
    if (this.handle) return this.handle;
    throw new StruPruneError('ERR_INTERNAL', `${this.target} is written after its end`);
  }

  private async closeHandle(): Promise<void> {
    const handle = this.handle;
    this.handle = null;
    await handle?.close();
  }
}

/** Writes a text as UTF-8, whole or not at all. @throws StruPruneError ERR_OUTPUT */
export async function writeText(
  path: string,
  text: string,
  options: AtomicOptions = {},
): Promise<void> {
  const file = await AtomicFile.create(path, options);
  await orAbort(file, async () => {
    await file.write(new TextEncoder().encode(text));
    await file.commit();
  });
}

/** A folder, to be filled under `path`. @throws StruPruneError ERR_OUTPUT from every method */
export class AtomicFolder {
  private constructor(
    readonly target: string,
    /** The temporary folder: files written here are in the target after `commit`. */
    readonly path: string,
    private readonly options: AtomicOptions,
    private readonly madeParents: string | undefined,
  ) {}

  static create(path: string, options: AtomicOptions = {}): Promise<AtomicFolder> {
    const target = resolve(path);
    return asOutput(target, async () => {
      await requireReplaceable(target, 'folder', options);
      const made = await makeParents(target);
      const temporary = temporaryName(target, 'output', options);
      try {
        await mkdir(temporary);
        unfinished.add(temporary);
      } catch (error) {
        await removeParents(target, made);
        throw error;
      }
      return new AtomicFolder(target, temporary, options, made);
    });
  }

  /** Brings every file to the disk and puts the folder in its place. */
  commit(): Promise<void> {
    return asOutput(this.target, async () => {
      await writeManifest(this.path);
      await syncTree(this.path);
      await requireReplaceable(this.target, 'folder', this.options);
      if (await exists(this.target)) await this.swap();
      else await rename(this.path, this.target);
      unfinished.delete(this.path);
      await sync(dirname(this.target));
    });
  }

  /** Removes what was written; to be called after any failure, harmless after `commit`. */
  async abort(): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
    unfinished.delete(this.path);
    await removeParents(this.target, this.madeParents);
  }

  /** A folder with files in it cannot be renamed over, so that the old one steps aside first. */
  private async swap(): Promise<void> {
    const old = temporaryName(this.target, 'replaced', this.options);
    await rename(this.target, old);
    try {
      await rename(this.path, this.target);
    } catch (error) {
      await rename(old, this.target);
      throw error;
    }
    await rm(old, { recursive: true, force: true });
  }
}

/** Copies a file. @throws StruPruneError ERR_OUTPUT */
export async function copyFile(from: string, to: string, options: AtomicOptions): Promise<void> {
  const file = await AtomicFile.create(to, options);
  await orAbort(file, async () => {
    for await (const piece of pieces(from)) await file.write(piece);
    await file.commit();
  });
}

/**
 * Refuses a file that cannot be written, by trying to: nothing is left. For the time before a long run.
 * @throws StruPruneError ERR_OUTPUT
 */
export async function requireWritable(target: string, options: AtomicOptions): Promise<void> {
  const output = await AtomicFile.create(target, options);
  await output.abort();
}
