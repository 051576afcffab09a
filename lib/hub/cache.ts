/**
 * One repository in the cache of Hugging Face's tools: `blobs/` by hash, `snapshots/<commit>/` of links to them, `refs/` with the
 * commit of a branch or tag, `.no_exist/<commit>/` with the names of files that are known not to be there.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { asOutput } from '../checkpoint/output-error';
import { cacheFolder, type HubModel } from './name';
import { neededOf, OPTIONAL } from './needed';

const COMMIT = /^[0-9a-f]{40}$/;

export interface Snapshot {
  commit: string;
  /** What is opened: its folder, or the GGUF file in it. */
  path: string;
  /** Nothing is missing that the repository may have. */
  whole: boolean;
}

export class CachedRepo {
  readonly folder: string;

  constructor(cache: string, repo: string) {
    this.folder = join(cache, cacheFolder(repo));
  }

  /** The commit of a revision as it was when it was fetched; null for one that never was. */
  async commitOf(revision: string): Promise<string | null> {
    if (COMMIT.test(revision)) return revision;
    const text = await readFile(join(this.folder, 'refs', revision), 'utf8').catch(() => '');
    return COMMIT.test(text.trim()) ? text.trim() : null;
  }

  /** A model of which everything is here that it needs, if not all that it may have; null where something is missing. */
  async find(model: HubModel): Promise<Snapshot | null> {
    const commit = await this.commitOf(model.revision);
    if (commit === null) return null;
    const folder = this.snapshot(commit);
    const names = await this.namesAt(commit);
    const read = (name: string) => readFile(join(folder, name), 'utf8');
    const needed = await neededOf(model, { names, read });
    if (!needed?.every((name) => names.includes(name))) return null;
    if (model.file !== null) return { commit, path: join(folder, model.file), whole: true };
    const absent = join(this.folder, '.no_exist', commit);
    const known = (name: string) => names.includes(name) || existsSync(join(absent, name));
    return { commit, path: folder, whole: OPTIONAL.every(known) };
  }

  snapshot(commit: string): string {
    return join(this.folder, 'snapshots', commit);
  }

  blob(etag: string): string {
    return join(this.folder, 'blobs', etag);
  }

  /** Names of the files of a snapshot; links to nothing are none. */
  async namesAt(commit: string): Promise<string[]> {
    const folder = this.snapshot(commit);
    const names = await readdir(folder, { recursive: true }).catch(() => []);
    return names.filter((name) => existsSync(join(folder, name)));
  }

  /** Whether a file of a commit is here: its blob, or the file itself where no links can be made. */
  has(commit: string, name: string, etag: string): boolean {
    return existsSync(this.blob(etag)) || existsSync(join(this.snapshot(commit), name));
  }

  async link(commit: string, name: string, etag: string): Promise<void> {
    const link = join(this.snapshot(commit), name);
    await asOutput(link, async () => {
      await mkdir(dirname(link), { recursive: true });
      const target = relative(dirname(link), this.blob(etag));
      await symlink(target, link).catch(async (error: NodeJS.ErrnoException) => {
        if (error.code === 'EEXIST' || existsSync(link)) return;
        // Windows lets few users make links. There Hugging Face's tools move the file, too.
        if (error.code !== 'EPERM') throw error;
        await rename(this.blob(etag), link);
      });
    });
  }

  /** What `commitOf` and `find` are to know of a commit whose files are all here. */
  async note(revision: string, commit: string, absent: readonly string[]): Promise<void> {
    await asOutput(this.folder, async () => {
      for (const name of absent) await put(join(this.folder, '.no_exist', commit, name), '');
      if (revision !== commit) await put(join(this.folder, 'refs', revision), commit);
    });
  }
}

async function put(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  await writeFile(temporary, text);
  await rename(temporary, path);
}
