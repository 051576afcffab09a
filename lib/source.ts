/** The model that a call was given. */
import { existsSync } from 'node:fs';
import * as files from './checkpoint/open';
import { asStruPruneError, StruPruneError } from './errors';
import type { ModelSource } from './model/architecture';

/**
 * A model by its path, or one that is open already.
 * @throws StruPruneError ERR_ARGUMENT for anything else, ERR_NOT_FOUND, ERR_CHECKPOINT, ERR_UNSUPPORTED
 */
export async function sourceOf(model: string | ModelSource): Promise<ModelSource> {
  const path = pathOf(model);
  return typeof model === 'string' ? opened(path, files.openCheckpoint) : model;
}

/** Where it lies. @throws StruPruneError ERR_ARGUMENT */
export function pathOf(model: string | ModelSource): string {
  if (typeof model === 'string') return model;
  if (typeof model === 'object' && model !== null && 'architecture' in model) return model.path;
  throw noModel('a Hugging Face folder or .gguf file by its path, or what openModel() gave');
}

/**
 * Opens a model for any number of calls: what it is and where its tensors lie, no weights. Nothing has to be closed. Calls
 * take a path as well, and open it anew each time.
 * @throws StruPruneError ERR_ARGUMENT, ERR_NOT_FOUND, ERR_CHECKPOINT, ERR_UNSUPPORTED
 */
export async function openModel(path: string): Promise<ModelSource> {
  if (typeof path !== 'string') throw noModel('the path of a Hugging Face folder or .gguf file');
  return opened(path, files.openModel);
}

function noModel(wanted: string): StruPruneError {
  return new StruPruneError(
    'ERR_ARGUMENT',
    'there is no model in the first argument',
    `give ${wanted}`,
  );
}

async function opened(
  path: string,
  open: (path: string) => Promise<ModelSource>,
): Promise<ModelSource> {
  try {
    return await open(path);
  } catch (thrown) {
    const error = asStruPruneError(thrown);
    if (existsSync(path) || !/^\w[\w.-]*\/[\w.-]+$/.test(path)) throw error;
    const download = `\`hf download ${path} --local-dir DIR\``;
    throw error.with(`models are not downloaded, ${download} does that`);
  }
}
