import type { ModelSource } from '../model/architecture';
import {
  inThread,
  type TokenizeFileOptions,
  type TokenizerSource,
  tokenizeFile,
} from '../tokenizer';
import { windows } from './corpus';

/** Where a model's own tokenizer lies. */
export function tokenizerOf(source: ModelSource): TokenizerSource {
  return source.format === 'hf'
    ? { kind: 'folder', folder: source.path }
    : { kind: 'gguf', file: source.files[0]! };
}

/** @throws StruPruneError ERR_NOT_FOUND, ERR_TOKENIZER where the model has no tokenizer that can be used */
export async function requireTokenizer(source: ModelSource, signal?: AbortSignal): Promise<void> {
  await inThread('texts', { source: tokenizerOf(source), ids: [] }, signal);
}

/** Whole windows of the first tokens are taken, of all of the text where no number is given. */
export interface TextOptions extends TokenizeFileOptions {
  window: number;
}

/**
 * The first windows of a text file as token ids, `[count · window]`.
 * Throws ERR_NOT_FOUND, ERR_TEXT (empty, too short for one window, not UTF-8, not to be cut), ERR_TOKENIZER.
 */
export async function readWindows(
  source: ModelSource,
  file: string,
  { window, ...options }: TextOptions,
): Promise<Int32Array> {
  const ids = await tokenizeFile(tokenizerOf(source), file, options);
  return windows(ids, window, options.maxTokens).ids;
}
