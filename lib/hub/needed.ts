/** Which files of a repository make up the model that was named. */
import { basename } from 'node:path';
import { partsOf } from '../checkpoint/gguf-split';
import { PROCESSOR_FILES } from '../checkpoint/processor-files';
import { StruPruneError } from '../errors';
import { isObject, parseJsonObject } from '../json-object';
import type { HubModel } from './name';

const CONFIG = 'config.json';
const SINGLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';

/** What is read where it is there: tokenizers, generation settings, and the card, which states the licence. */
export const OPTIONAL: readonly string[] = [
  'README.md',
  'chat_template.jinja',
  'generation_config.json',
  'merges.txt',
  'special_tokens_map.json',
  'tokenizer.json',
  'tokenizer.model',
  'tokenizer_config.json',
  'vocab.json',
];
const TEMPLATE = /^additional_chat_templates\/\w[\w.-]*\.jinja$/;

/** A repository at one commit, on the hub or in the cache. */
export interface Repository {
  /** Of its files. */
  names: readonly string[];
  /** The text of one. */
  read(name: string): Promise<string>;
}

/**
 * Its files that are read, weights last; null where it has no weights that could be.
 * @throws StruPruneError ERR_CHECKPOINT for an index that is none; ERR_UNSUPPORTED for a part of a GGUF file that is not the first
 */
export async function neededOf(
  { file }: HubModel,
  repository: Repository,
): Promise<string[] | null> {
  const names = new Set(repository.names);
  if (file !== null) {
    const parts = partsOf(file);
    return parts.every((name) => names.has(name)) ? parts : null;
  }
  // In the order in which a folder's reader looks for them.
  const weights = names.has(SINGLE)
    ? [SINGLE]
    : names.has(INDEX)
      ? [INDEX, ...shardsIn(await repository.read(INDEX))]
      : [];
  if (weights.length === 0) return null;
  const read = [...OPTIONAL, ...PROCESSOR_FILES];
  const others = [...names].filter((name) => read.includes(name) || TEMPLATE.test(name));
  return [CONFIG, ...others, ...weights];
}

function shardsIn(text: string): string[] {
  const refusal = { code: 'ERR_CHECKPOINT', mend: 'tell the owner of the repository' } as const;
  const { weight_map: map } = parseJsonObject(Buffer.from(text), INDEX, refusal);
  const shards = [...new Set(isObject(map) ? Object.values(map) : [])];
  const named = shards.filter((name) => typeof name === 'string' && name === basename(name));
  if (shards.length > 0 && named.length === shards.length) return (named as string[]).sort();
  throw new StruPruneError(
    'ERR_CHECKPOINT',
    `${INDEX} does not map tensors to files`,
    refusal.mend,
  );
}

/** Why there is nothing to read. */
export function nothingNeeded({ repo, file }: HubModel, names: readonly string[]): StruPruneError {
  const ggufs = names.filter((name) => name.endsWith('.gguf'));
  const choice = ggufs.map((name) => `hf:${repo}/${name}`).join(', ');
  if (file !== null) {
    const mend = choice
      ? `it has ${choice}`
      : 'it has no GGUF files: leave the name of the file out';
    const missing = partsOf(file).find((name) => !names.includes(name));
    return new StruPruneError('ERR_NOT_FOUND', `${repo} has no file ${missing}`, mend);
  }
  if (choice !== '') {
    const found = `${repo} has GGUF files and no safetensors`;
    return new StruPruneError('ERR_UNSUPPORTED', found, `name one of ${choice}`);
  }
  return new StruPruneError(
    'ERR_UNSUPPORTED',
    `${repo} has neither ${SINGLE} nor ${INDEX}`,
    'load it with transformers, call save_pretrained, which writes safetensors, and give that folder',
  );
}
