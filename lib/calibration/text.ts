import type { ModelSource } from '../model/architecture';
import { type TokenizerSource, tokenizeFile } from '../tokenizer';
import { windows } from './corpus';

/** Where a model's own tokenizer lies. */
export function tokenizerOf(source: ModelSource): TokenizerSource {
  return source.format === 'hf'
    ? { kind: 'folder', folder: source.path }
    : { kind: 'gguf', file: source.files[0]! };
}

export interface TextOptions {
  window: number;
  /** Whole windows of the first tokens are taken; all of the text when left out. */
  maxTokens?: number;
  signal?: AbortSignal;
}

/**
 * The first windows of a text file as token ids, `[count · window]`.
 * Throws ERR_NOT_FOUND, ERR_TEXT (empty, too short for one window, not UTF-8), ERR_TOKENIZER.
 */
export async function readWindows(
  source: ModelSource,
  file: string,
  { window, maxTokens, signal }: TextOptions,
): Promise<Int32Array> {
  const ids = await tokenizeFile(tokenizerOf(source), file, { maxTokens, signal });
  return windows(ids, window, maxTokens).ids;
}
