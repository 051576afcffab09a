import { stat } from 'node:fs/promises';

import { StruPruneError } from '../errors';
import type { ModelSource } from '../model/architecture';
import { openGguf } from './gguf-model';
import { openHuggingFace } from './huggingface';
import { isGguf, isOnnx } from './output-path';

/**
 * Opens a checkpoint: a Hugging Face folder with safetensors, or a GGUF file. Reads headers and checks
 * that every tensor the model needs is there with the right shape; no weights are read.
 * @throws StruPruneError ERR_NOT_FOUND, ERR_CHECKPOINT, ERR_UNSUPPORTED
 */
export async function openCheckpoint(path: string): Promise<ModelSource> {
  if (path === '') {
    throw new StruPruneError('ERR_ARGUMENT', 'the path of the model is empty', 'give one');
  }
  const entry = await stat(path).catch((cause: NodeJS.ErrnoException) => {
    throw new StruPruneError(
      'ERR_NOT_FOUND',
      `${path}: ${cause.code === 'ENOENT' ? 'no such file or folder' : cause.message}`,
      'give the path of a Hugging Face folder or of a .gguf file, or owner/name of a model of the hub',
      { cause },
    );
  });
  if (entry.isDirectory()) return openHuggingFace(path);
  if (isGguf(path)) return openGguf(path);
  if (isOnnx(path)) {
    throw new StruPruneError(
      'ERR_UNSUPPORTED',
      `${path} is an ONNX graph, and this call takes checkpoints of language models`,
      'prune it on the command line, or by pruneGraph()',
    );
  }
  throw new StruPruneError(
    'ERR_UNSUPPORTED',
    `${path} is neither a folder nor a .gguf file`,
    'give the folder that holds config.json and the safetensors files, or a .gguf file',
  );
}
