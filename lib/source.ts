/** The model that a call was given. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCheckpoint } from './checkpoint/open';
import { unfinished } from './checkpoint/unfinished';
import { type Engine, withBytes } from './engine/engine';
import { asStruPruneError, StruPruneError } from './errors';
import { asHubName, headerPath, localPath } from './hub';
import type { ModelSource } from './model/architecture';
import { isCallers } from './own';
import type { OnProgress } from './progress';

/** How a download is followed and stopped. */
export interface OpenOptions {
  signal?: AbortSignal;
  onProgress?: OnProgress;
}

/**
 * A model by its path or its name on the Hugging Face Hub, from which it is downloaded where the cache lacks it; or one that is
 * open already.
 * @throws StruPruneError ERR_ARGUMENT for anything else, ERR_NOT_FOUND, ERR_CHECKPOINT, ERR_UNSUPPORTED, ERR_HUB
 */
export async function sourceOf(
  model: string | ModelSource,
  { signal, onProgress }: OpenOptions = {},
  engine: Engine | null = null,
): Promise<ModelSource> {
  const path = pathOf(model);
  if (typeof model !== 'string') return model;
  const calls = { signal, onProgress: withBytes(engine, onProgress) };
  return opened(path, () => localPath(path, calls));
}

/**
 * Lends a model to what reads its headers and its tokenizer: of one that the cache lacks no weights are downloaded.
 * @throws StruPruneError what sourceOf throws
 */
export async function withHeaders<T>(
  model: string | ModelSource,
  { signal, onProgress }: OpenOptions,
  use: (source: ModelSource) => Promise<T>,
): Promise<T> {
  const path = pathOf(model);
  if (typeof model !== 'string') return use(model);
  const folder = await mkdtemp(join(tmpdir(), 'struprune-headers-'));
  unfinished.add(folder);
  try {
    const calls = { signal, onProgress: withBytes(null, onProgress) };
    return await use(await opened(path, () => headerPath(path, folder, calls)));
  } finally {
    await rm(folder, { recursive: true, force: true });
    unfinished.delete(folder);
  }
}

/** Where it lies. @throws StruPruneError ERR_ARGUMENT */
export function pathOf(model: string | ModelSource): string {
  if (typeof model === 'string') return model;
  if (typeof model === 'object' && model !== null && 'architecture' in model) return model.path;
  throw noModel('a Hugging Face folder or .gguf file by its path, or what openModel() gave');
}

/**
 * Opens a model for any number of calls: what it is and where its tensors lie, no weights. Nothing has to be closed. OpenOptions
 * take a path or a name as well, and open it anew each time.
 * @throws StruPruneError ERR_ARGUMENT, ERR_NOT_FOUND, ERR_CHECKPOINT, ERR_UNSUPPORTED, ERR_HUB; the signal's reason
 */
export async function openModel(model: string, calls: OpenOptions = {}): Promise<ModelSource> {
  if (typeof model !== 'string') {
    throw noModel('the path of a Hugging Face folder or .gguf file, or a name of the hub');
  }
  try {
    return await sourceOf(model, calls);
  } catch (error) {
    throw calls.signal?.aborted || isCallers(error) ? error : asStruPruneError(error);
  }
}

function noModel(wanted: string): StruPruneError {
  return new StruPruneError(
    'ERR_ARGUMENT',
    'there is no model in the first argument',
    `give ${wanted}`,
  );
}

async function opened(model: string, locate: () => Promise<string>): Promise<ModelSource> {
  try {
    return await openCheckpoint(await locate());
  } catch (error) {
    const name = asHubName(model);
    const notHere = error instanceof StruPruneError && error.code === 'ERR_NOT_FOUND';
    throw notHere && name ? error.with(`${name} is the hub's model of that name`) : error;
  }
}
