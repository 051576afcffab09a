/** Whether the files of a tokenizer have the types that the rest of this room takes for granted. */
import { join } from 'node:path';
import { StruPruneError } from '../errors';
import { isObject } from '../json-object';
import type { TokenizerConfig, TokenizerJson } from './types';

/** Lists of parts that a `Sequence` may hold. */
const PARTS = ['normalizers', 'pretokenizers', 'processors', 'decoders'];

/**
 * @throws StruPruneError ERR_UNSUPPORTED for another kind of model than BPE, ERR_TOKENIZER naming the part of tokenizer.json
 *   that is something else than it must be
 */
export function checkTokenizerJson(json: TokenizerJson, folder: string): void {
  const { model } = json;
  const bpe = model?.type === undefined || model.type === 'BPE';
  if (!bpe || !Array.isArray(model?.merges) || typeof model.vocab !== 'object') {
    throw new StruPruneError(
      'ERR_UNSUPPORTED',
      `the tokenizer in ${folder} is of type ${model?.type ?? 'unknown'}`,
      'only BPE tokenizers are supported',
    );
  }
  const sound: [part: string, holds: boolean][] = [
    ['model.vocab', isObject(model.vocab) && Object.values(model.vocab).every(isId)],
    ['model.merges', model.merges.every(isMerge)],
    ['added_tokens', isListOf(json.added_tokens ?? [], isAddedToken)],
    ['normalizer', isComponent(json.normalizer)],
    ['pre_tokenizer', isComponent(json.pre_tokenizer)],
    ['post_processor', isComponent(json.post_processor)],
    ['decoder', isComponent(json.decoder)],
  ];
  requireAll(sound, join(folder, 'tokenizer.json'));
}

/** @throws StruPruneError ERR_TOKENIZER naming the part of tokenizer_config.json that is something else than it must be */
export function checkTokenizerConfig(config: TokenizerConfig, folder: string): void {
  const { chat_template: template = null, added_tokens_decoder: added } = config;
  const isFlag = (value: unknown) => typeof (value ?? false) === 'boolean';
  const sound: [part: string, holds: boolean][] = [
    [
      'chat_template',
      template === null || typeof template === 'string' || isListOf(template, isTemplate),
    ],
    [
      'added_tokens_decoder',
      Object.entries(added ?? {}).every(
        ([id, token]) => isId(Number(id)) && hasText(token, 'content'),
      ),
    ],
    ['add_bos_token', isFlag(config.add_bos_token)],
    ['add_eos_token', isFlag(config.add_eos_token)],
  ];
  requireAll(sound, join(folder, 'tokenizer_config.json'));
}

function requireAll(sound: readonly [part: string, holds: boolean][], file: string): void {
  const damaged = sound.find(([, holds]) => !holds);
  if (damaged === undefined) return;
  throw new StruPruneError(
    'ERR_TOKENIZER',
    `${file} is damaged: its ${damaged[0]} is not what a tokenizer has there`,
    'get the file again',
  );
}

function isListOf(value: unknown, holds: (entry: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(holds);
}

function hasText(value: unknown, key: string): boolean {
  return isObject(value) && typeof value[key] === 'string';
}

function isId(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** One string is cut into two later, by `mergePairs`. */
function isMerge(merge: unknown): boolean {
  if (typeof merge === 'string') return true;
  return isListOf(merge, (part) => typeof part === 'string') && (merge as string[]).length === 2;
}

function isAddedToken(token: unknown): boolean {
  return isObject(token) && typeof token.content === 'string' && isId(token.id);
}

function isTemplate(entry: unknown): boolean {
  return hasText(entry, 'name') && hasText(entry, 'template');
}

/** A step, or none; the steps of a `Sequence` too. */
function isComponent(component: unknown): boolean {
  if (component === null || component === undefined) return true;
  if (!isObject(component) || typeof component.type !== 'string') return false;
  const { pattern } = component;
  if (pattern !== undefined && !hasText(pattern, 'Regex') && !hasText(pattern, 'String')) {
    return false;
  }
  return PARTS.every((key) =>
    isListOf(component[key] ?? [], (part) => isObject(part) && isComponent(part)),
  );
}
