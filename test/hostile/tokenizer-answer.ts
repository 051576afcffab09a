import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { StruPruneError } from '../../lib/errors';
import { loadTokenizer } from '../../lib/tokenizer';
import type { TokenizerRequest } from './tokenizers';

/**
 * Ids and texts of every text of a request, as make-tokenizer-fixtures.py spells them; null where the tokenizer is refused by a
 * code of its own. @param folder for the tokenizer.json
 */
export function answerTo({ json, texts }: TokenizerRequest, folder: string): string | null {
  writeFileSync(join(folder, 'tokenizer.json'), json);
  try {
    const tokenizer = loadTokenizer({ kind: 'folder', folder });
    const ids = texts.map((text) => [...tokenizer.encode(text)]);
    const decoded = ids.map((list) => tokenizer.decode(list));
    return spelled(ids, decoded);
  } catch (error) {
    const refused =
      error instanceof StruPruneError && ['ERR_TOKENIZER', 'ERR_UNSUPPORTED'].includes(error.code);
    if (refused) return null;
    throw error;
  }
}

export function spelled(ids: number[][], decoded: string[]): string {
  return [ids.map((list) => list.join(',')).join(';'), ...decoded].join('\0');
}
