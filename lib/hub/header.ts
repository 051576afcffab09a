/** Stand-ins for models of the hub: small files whole, and of weights the header, behind which there is nothing. */
import { open, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { parseGguf } from '../checkpoint/container';
import { CachedRepo } from './cache';
import { HubClient, type RemoteFile } from './client';
import type { HubModel } from './name';
import { neededOf, nothingNeeded } from './needed';
import type { HubSettings } from './settings';

/** Most safetensors headers, and what a GGUF file has before its vocabulary. */
const FIRST_BYTES = 2 ** 16;
/** Of a safetensors header, by its format. */
const MOST_HEADER = 100e6;

/**
 * Puts a stand-in into an empty folder, and returns the path to open. Files are as long as the hub's, and take no room on the disk.
 * null: the cache has the model, or nothing may be asked for.
 * @throws StruPruneError ERR_NOT_FOUND, ERR_UNSUPPORTED, ERR_HUB
 */
export async function standIn(
  model: HubModel,
  folder: string,
  settings: HubSettings,
  signal?: AbortSignal,
): Promise<string | null> {
  if (settings.offline || (await new CachedRepo(settings.cache, model.repo).find(model)))
    return null;
  const client = new HubClient(model.repo, settings, signal);
  const { commit, names } = await client.list(model.revision);
  const text = async (name: string) =>
    (await readBytes(client.bytes(commit, name, 0))).toString('utf8');
  const needed = await neededOf(model, { names, read: text });
  if (needed === null) throw nothingNeeded(model, names);
  for (const file of await client.describe(commit, needed)) {
    const range = (start: number, end: number) =>
      readBytes(client.bytes(commit, file.name, start, Math.min(end, file.size)));
    const path = join(folder, basename(file.name));
    if (file.name.endsWith('.safetensors')) await putSparse(path, file, await safetensors(range));
    else if (file.name.endsWith('.gguf')) await putGguf(path, file, range);
    else await writeFile(path, await range(0, file.size));
  }
  return model.file === null ? folder : join(folder, basename(model.file));
}

type Range = (start: number, end: number) => Promise<Buffer>;

async function safetensors(range: Range): Promise<Buffer> {
  const first = await range(0, FIRST_BYTES);
  if (first.length < 8) return first;
  const end = 8 + Number(first.readBigUInt64LE());
  // What is wrong is said by whoever opens it.
  if (end <= first.length || end > MOST_HEADER) return first;
  return Buffer.concat([first, await range(first.length, end)]);
}

/** Nothing says how long the header is: twice as much until it is whole. */
async function putGguf(path: string, file: RemoteFile, range: Range): Promise<void> {
  let bytes = await range(0, FIRST_BYTES);
  for (;;) {
    await putSparse(path, file, bytes);
    if (bytes.length >= file.size || hasHeader(path, bytes.length)) return;
    bytes = Buffer.concat([bytes, await range(bytes.length, 2 * bytes.length)]);
  }
}

/** Whether what is missing is weights alone. */
function hasHeader(path: string, there: number): boolean {
  try {
    return parseGguf(path, 0).tensors.every(({ offset }) => offset <= there);
  } catch {
    return false;
  }
}

async function putSparse(path: string, { size }: RemoteFile, bytes: Buffer): Promise<void> {
  const handle = await open(path, 'w');
  try {
    await handle.writeFile(bytes);
    await handle.truncate(size);
  } finally {
    await handle.close();
  }
}

async function readBytes(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}
