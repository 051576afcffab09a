import type { ModelSource } from '../model/architecture';
import { type TokenizeFileOptions, type TokenizerSource, tokenizeFile } from '../tokenizer';
import { windows } from './corpus';

/** Where a model's own tokenizer lies. */
export function tokenizerOf(source: ModelSource): TokenizerSource {
  return source.format === 'hf'
    ? { kind: 'folder', folder: source.path }
    : { kind: 'gguf', file: source.files[0]! };
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
