/** Tokenising a whole text file, off the main thread. */
import { inThread } from './thread';
import type { TokenizerSource } from './tokenizer';

export interface TokenizeFileOptions {
  /** Only the first ids are wanted; no more of the file is read than they need. */
  maxTokens?: number;
  signal?: AbortSignal;
}

/**
 * Ids of a text file, tokenised whole and without BOS: the first `maxTokens` ids are those of the whole text.
 * @throws StruPruneError ERR_NOT_FOUND, ERR_TEXT (empty, or not UTF-8: with the byte offset), ERR_ABORTED, and
 *   whatever loading the tokenizer may throw.
 */
export function tokenizeFile(
  source: TokenizerSource,
  path: string,
  { maxTokens, signal }: TokenizeFileOptions = {},
): Promise<Int32Array> {
  return inThread('ids', { source, path, maxTokens }, signal);
}
