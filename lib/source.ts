/** The model that a call was given. */
import { openCheckpoint } from './checkpoint/open';
import { type Engine, withBytes } from './engine/engine';
import { asStruPruneError, StruPruneError } from './errors';
import { asHubName, type DownloadCalls, localPath } from './hub';
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
  return opened(path, { signal, onProgress: withBytes(engine, onProgress) });
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

async function opened(model: string, calls: DownloadCalls): Promise<ModelSource> {
  try {
    return await openCheckpoint(await localPath(model, calls));
  } catch (error) {
    const name = asHubName(model);
    const notHere = error instanceof StruPruneError && error.code === 'ERR_NOT_FOUND';
    throw notHere && name ? error.with(`${name} is the hub's model of that name`) : error;
  }
}
