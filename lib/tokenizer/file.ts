/** Tokenising whole texts, off the main thread. */
import { inThread } from './thread';
import type { TokenizerSource } from './tokenizer';

/** Characters of one piece under a budget; the tokenizer takes some hundred bytes for each. */
const LONGEST = 1 << 16;

export interface TokenizeOptions {
  /** Only the first ids are wanted; no more of the file is read than they need. */
  maxTokens?: number;
  /** Whether the ids are made under a memory budget, for which text that cannot be cut is refused. */
  bounded?: boolean;
  signal?: AbortSignal;
}

/**
 * Ids of a text file, or of texts as a JSONL file would have them, tokenised whole and without BOS: the first `maxTokens` ids are those of the whole text.
 * @throws StruPruneError ERR_NOT_FOUND, ERR_TEXT (empty, not UTF-8: with the byte offset, or not to be cut), ERR_ABORTED, and
 *   whatever loading the tokenizer may throw.
 */
export function tokenize(
  source: TokenizerSource,
  text: string | string[],
  { maxTokens, bounded = false, signal }: TokenizeOptions = {},
): Promise<Int32Array> {
  const longest = bounded ? LONGEST : undefined;
  return inThread('ids', { source, text, maxTokens, longest }, signal);
}
