/** Brings a model's files into the cache. */
import { createHash, type Hash } from 'node:crypto';
import { constants, existsSync } from 'node:fs';
import { type FileHandle, open, readFile, rename, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { asOutput } from '../checkpoint/output-error';
import { makeFolder } from '../checkpoint/output-path';
import { pieces } from '../checkpoint/pieces';
import { StruPruneError } from '../errors';
import { bytes as inWords } from '../numbers';
import { isCallers } from '../own';
import { type OnStage, stageReporter } from '../progress';
import type { CachedRepo } from './cache';
import { type HubClient, type RemoteFile, Unreachable } from './client';
import type { HubModel } from './name';
import { neededOf, nothingNeeded, OPTIONAL } from './needed';

/** Attempts in a row that bring no byte, and the pause after the first of them in milliseconds, which doubles. */
const ATTEMPTS = 4;
const PAUSE = 250;
/** Bytes between two reports, at least. */
const REPORT_BYTES = 2 ** 20;

export interface DownloadCalls {
  signal?: AbortSignal;
  onProgress?: OnStage;
}

/**
 * Fetches what the cache lacks of a model, and returns its commit. What a cut-off download has left is gone on with.
 * @throws StruPruneError ERR_NOT_FOUND, ERR_UNSUPPORTED, ERR_HUB, ERR_OUTPUT
 */
export async function download(
  model: HubModel,
  cached: CachedRepo,
  client: HubClient,
  calls: DownloadCalls,
): Promise<string> {
  const { commit, names } = await client.list(model.revision);
  const read = async (name: string) => {
    const [file] = await client.describe(commit, [name]);
    await new Download(cached, client, commit, { signal: calls.signal }).files([file!]);
    return readFile(join(cached.snapshot(commit), name), 'utf8');
  };
  const needed = await neededOf(model, { names, read });
  if (needed === null) throw nothingNeeded(model, names);
  const files = await client.describe(commit, needed);
  await new Download(cached, client, commit, calls).files(files);
  // Last, so that an earlier commit is found as long as this one is not whole.
  const absent = model.file === null ? OPTIONAL.filter((name) => !names.includes(name)) : [];
  await cached.note(model.revision, commit, absent);
  return commit;
}

/** Files of one commit. */
class Download {
  readonly #cached: CachedRepo;
  readonly #client: HubClient;
  readonly #commit: string;
  readonly #calls: DownloadCalls;

  constructor(cached: CachedRepo, client: HubClient, commit: string, calls: DownloadCalls) {
    this.#cached = cached;
    this.#client = client;
    this.#commit = commit;
    this.#calls = calls;
  }

  async files(files: readonly RemoteFile[]): Promise<void> {
    const missing = files.filter(({ name, etag }) => !this.#cached.has(this.#commit, name, etag));
    if (missing.length > 0) {
      const blobs = this.#cached.blob('.');
      await asOutput(blobs, () => makeFolder(blobs));
      const there = await Promise.all(missing.map((file) => sizeOf(this.#partial(file))));
      const total = missing.reduce((sum, { size }, i) => sum + size - there[i]!, 0);
      await requireSpace(blobs, total);
      const report = stageReporter(this.#calls.onProgress, 'download', total);
      let done = 0;
      let reported = 0;
      for (const file of missing) {
        await this.#fetch(file, (count, at) => {
          done += count;
          if (done < reported + REPORT_BYTES && done < total) return;
          reported = done;
          report(done, `${file.name}, ${inWords(at)} of ${inWords(file.size)}`);
        });
      }
    }
    for (const { name, etag } of files) await this.#cached.link(this.#commit, name, etag);
  }

  /** Two processes may write the same bytes to the same places of it. */
  #partial({ etag }: RemoteFile): string {
    return `${this.#cached.blob(etag)}.struprune.incomplete`;
  }

  async #fetch(file: RemoteFile, onBytes: (count: number, at: number) => void): Promise<void> {
    const partial = this.#partial(file);
    const flags = constants.O_WRONLY | constants.O_CREAT;
    const handle = await asOutput(partial, () => open(partial, flags));
    try {
      const hash = await this.#receive(file, handle, onBytes);
      if (hash.digest('hex') !== file.etag) throw await damaged(file, partial);
      await asOutput(partial, () => handle.sync());
    } finally {
      await handle.close();
    }
    const blob = this.#cached.blob(file.etag);
    await asOutput(blob, () =>
      rename(partial, blob).catch((error: Error) => {
        // Another process was there first.
        if (!existsSync(blob)) throw error;
      }),
    );
  }

  /** Appends what is missing, however often the connection ends on the way; the hash is that of the whole file. */
  async #receive(
    file: RemoteFile,
    handle: FileHandle,
    onBytes: (count: number, at: number) => void,
  ): Promise<Hash> {
    const { signal } = this.#calls;
    const partial = this.#partial(file);
    const hash = createHash(file.hash);
    if (file.hash === 'sha1') hash.update(`blob ${file.size}\0`);
    let at = 0;
    for await (const piece of pieces(partial, { signal })) {
      hash.update(piece);
      at += piece.length;
    }
    for (let vain = 0; at < file.size; ) {
      const before = at;
      let cause: unknown;
      try {
        for await (const chunk of this.#client.bytes(this.#commit, file.name, at)) {
          await asOutput(partial, () => writeAll(handle, chunk, at));
          hash.update(chunk);
          at += chunk.length;
          onBytes(chunk.length, at);
        }
      } catch (error) {
        signal?.throwIfAborted();
        if (isCallers(error)) throw error;
        if (error instanceof StruPruneError && !(error instanceof Unreachable)) throw error;
        cause = error;
      }
      vain = at > before ? 0 : vain + 1;
      if (vain === ATTEMPTS) throw cutOff(file, at, cause);
      if (at < file.size) await sleep(PAUSE * 2 ** vain, undefined, { signal });
    }
    return hash;
  }
}

/** A write to a disk that fills up may take a part. */
async function writeAll(handle: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (await handle.write(bytes, done, bytes.length - done, at + done)).bytesWritten;
  }
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}

async function requireSpace(folder: string, wanted: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize >= wanted) return;
  throw new StruPruneError(
    'ERR_OUTPUT',
    `${inWords(wanted)} are to be downloaded, and the disk of ${folder} has ${inWords(bavail * bsize)}`,
    'free some space, or name a cache on another disk with HF_HUB_CACHE',
  );
}

function cutOff({ name, size }: RemoteFile, at: number, cause: unknown): StruPruneError {
  const why = cause === undefined ? '' : ` (${cause instanceof Error ? cause.message : cause})`;
  return new StruPruneError(
    'ERR_HUB',
    `the download of ${name} ends after ${inWords(at)} of ${inWords(size)}${why}`,
    'check the network and start again: it goes on from there',
    { cause },
  );
}

async function damaged({ name }: RemoteFile, partial: string): Promise<StruPruneError> {
  await rm(partial, { force: true });
  return new StruPruneError(
    'ERR_HUB',
    `${name} arrived with other bytes than its hash says`,
    'start again: the file is fetched anew',
  );
}
