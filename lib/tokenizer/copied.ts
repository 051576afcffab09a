/** A folder's tokenizer as it is. */
import { join } from 'node:path';
import { type Copied, copiedFiles } from '../checkpoint/copied-files';
import { MOST_BYTES, TEMPLATES, TOKENIZER_REFUSAL, templateFiles } from './folder';

/** Files of a Hugging Face tokenizer that are copied where the source has them. */
const FILES = [
  'tokenizer.json',
  'added_tokens.json',
  'vocab.json',
  'vocab.txt',
  'merges.txt',
  'tokenizer.model',
  'chat_template.jinja',
];
const CONFIGS = ['tokenizer_config.json', 'special_tokens_map.json'];

/** @throws StruPruneError ERR_TOKENIZER */
export function copiedTokenizer(folder: string): Copied {
  const templates = templateFiles(folder).map((name) => join(TEMPLATES, name));
  const names = { plain: [...FILES, ...templates], configs: CONFIGS };
  return copiedFiles(folder, names, TOKENIZER_REFUSAL, MOST_BYTES);
}
