/** What tokenizer.json and tokenizer_config.json may hold: the types that Rust's `tokenizers` demands, of the parts that run here. */
import { join } from 'node:path';
import { z } from 'zod';
import { StruPruneError } from '../errors';
import { isObject } from '../json-object';
import { MOST_IDS } from './bpe';
import {
  type AddedToken,
  type BpeModel,
  mergePairs,
  type TokenizerConfig,
  type TokenizerJson,
} from './types';

/** Rust refuses half of a surrogate pair. */
const isSound = (value: string) => !/\p{Surrogate}/u.test(value);
export const text = z.string().refine(isSound);
const character = text.refine((value) => Array.from(value).length === 1);
const count = z.number().int().nonnegative();
const flag = z.boolean();
export const part = <Type extends string>(type: Type) => z.object({ type: z.literal(type) });

const pattern = z.union([
  z.strictObject({ String: text.min(1) }),
  z.strictObject({ Regex: text.min(1) }),
]);
export const replace = part('Replace').extend({ pattern, content: text });
const byteLevel = part('ByteLevel').extend({
  add_prefix_space: flag,
  trim_offsets: flag,
  use_regex: flag.optional(),
});
export const metaspace = part('Metaspace')
  .extend({
    replacement: character,
    prepend_scheme: z.enum(['first', 'always', 'never']).optional(),
    split: flag.optional(),
    add_prefix_space: flag.optional(),
  })
  // The older option must say what the newer one says.
  .refine(
    ({ add_prefix_space, prepend_scheme }) =>
      add_prefix_space !== false || prepend_scheme === 'never',
  );

const normalizer = z.discriminatedUnion('type', [
  // The other normal forms follow a newer Unicode here than in Rust.
  part('NFC'),
  part('Prepend').extend({ prepend: text.min(1).max(64) }),
  replace,
]);

const behavior = z.enum([
  'Removed',
  'Isolated',
  'MergedWithPrevious',
  'MergedWithNext',
  'Contiguous',
]);
const preTokenizer = z.discriminatedUnion('type', [
  byteLevel,
  metaspace,
  part('Digits').extend({ individual_digits: flag }),
  part('Split').extend({ pattern, behavior, invert: flag }),
]);

const decoder = z.discriminatedUnion('type', [
  byteLevel,
  metaspace,
  replace,
  part('ByteFallback'),
  part('Fuse'),
  part('Strip').extend({ content: character, start: count, stop: z.literal(0) }),
]);

const special = z.tuple([text, count]);
const pair = { sep: special, cls: special };
const piece = z.union([
  z.strictObject({ Sequence: z.object({ id: z.enum(['A', 'B']), type_id: count }) }),
  z.strictObject({ SpecialToken: z.object({ id: text, type_id: count }) }),
]);
const postProcessor = z.discriminatedUnion('type', [
  byteLevel,
  part('BertProcessing').extend(pair),
  part('RobertaProcessing').extend({ ...pair, trim_offsets: flag, add_prefix_space: flag }),
  part('TemplateProcessing').extend({
    single: z.array(piece),
    pair: z.array(piece),
    special_tokens: z.record(
      z.string(),
      z.object({ id: text, ids: z.array(count), tokens: z.array(text) }),
    ),
  }),
]);

export type NormalizerStep = z.infer<typeof normalizer>;
export type PreTokenizerStep = z.infer<typeof preTokenizer>;
export type SplitBehavior = z.infer<typeof behavior>;
export type DecoderStep = z.infer<typeof decoder>;

/** The parts that are lists of steps, a `Sequence` among them by the name of its list. */
const PARTS = {
  normalizer: { step: normalizer, list: 'normalizers' },
  pre_tokenizer: { step: preTokenizer, list: 'pretokenizers' },
  post_processor: { step: postProcessor, list: 'processors' },
  decoder: { step: decoder, list: 'decoders' },
} as const;
type PartName = keyof typeof PARTS;
type Step<Name extends PartName> = z.infer<(typeof PARTS)[Name]['step']>;

const isId = (value: unknown) =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) < MOST_IDS;
const isText = (value: unknown) => typeof value === 'string';
const isPair = (merge: unknown) =>
  Array.isArray(merge) && merge.length === 2 && merge.every(isText);
/** Of older files: two tokens in one text, or the version in front of them. */
const isLine = (merge: unknown) =>
  typeof merge === 'string' &&
  (merge.startsWith('#version') ||
    (merge.includes(' ') && merge.indexOf(' ') === merge.lastIndexOf(' ')));

const addedToken = z.object({
  id: z.custom<number>(isId),
  content: text.min(1),
  single_word: flag,
  lstrip: flag,
  rstrip: flag,
  normalized: flag,
  special: flag,
});

// Not zod's own record and array: these have some hundred thousand entries.
export const vocabulary = z.custom<BpeModel['vocab']>(
  (value) =>
    isObject(value) && Object.keys(value).every(isSound) && Object.values(value).every(isId),
);

const model = z.looseObject({
  type: z.string().optional(),
  vocab: vocabulary,
  merges: z.custom<BpeModel['merges']>(
    (value) => Array.isArray(value) && (value.every(isLine) || value.every(isPair)),
  ),
  unk_token: text.nullish(),
  continuing_subword_prefix: text.nullish(),
  end_of_word_suffix: text.nullish(),
  fuse_unk: flag.nullish(),
  byte_fallback: flag.nullish(),
  ignore_merges: flag.nullish(),
  dropout: z.number().min(0).max(1).nullish(),
});

const direction = z.enum(['Left', 'Right']);
/** Rust refuses keys that it does not know. */
const tokenizerJson = z.strictObject({
  version: z.literal('1.0').optional(),
  truncation: z
    .object({
      direction: direction.optional(),
      max_length: count,
      strategy: z.enum(['LongestFirst', 'OnlyFirst', 'OnlySecond']),
      stride: count,
    })
    .nullish(),
  padding: z
    .object({
      strategy: z.union([z.literal('BatchLongest'), z.strictObject({ Fixed: count })]),
      direction,
      pad_to_multiple_of: count.nullish(),
      pad_id: count,
      pad_type_id: count,
      pad_token: text,
    })
    .nullish(),
  added_tokens: z.array(addedToken).optional(),
  normalizer: z.unknown().optional(),
  pre_tokenizer: z.unknown().optional(),
  post_processor: z.unknown().optional(),
  decoder: z.unknown().optional(),
  model,
});

const template = z.object({ name: z.string(), template: z.string() });
const tokenizerConfig = z.looseObject({
  chat_template: z.union([z.string(), z.array(template)]).nullish(),
  added_tokens_decoder: z
    .record(z.string().regex(/^\d+$/), z.looseObject({ content: z.string() }))
    .nullish(),
  add_bos_token: flag.nullish(),
  add_eos_token: flag.nullish(),
});

/**
 * @throws StruPruneError ERR_UNSUPPORTED for what Rust runs and we do not, ERR_TOKENIZER naming the part of tokenizer.json
 *   that is something else than it must be
 */
export function checkTokenizerJson(json: TokenizerJson, folder: string): void {
  const file = join(folder, 'tokenizer.json');
  const type = isObject(json.model) ? (json.model.type ?? 'BPE') : 'unknown';
  if (type !== 'BPE' && typeof type === 'string') {
    throw new StruPruneError(
      'ERR_UNSUPPORTED',
      `the tokenizer in ${folder} is of type ${type.slice(0, 40)}`,
      'only BPE tokenizers are supported',
    );
  }
  parse(tokenizerJson, json, file);
  for (const name of Object.keys(PARTS) as PartName[]) stepsOf(json, name, file);
}

/** The added tokens of a file that is no more than JSON. @throws StruPruneError ERR_TOKENIZER */
export function checkedTokens(json: TokenizerJson, folder: string): AddedToken[] {
  const file = join(folder, 'tokenizer.json');
  return parse(z.array(addedToken), json.added_tokens ?? [], file, 'added_tokens') as AddedToken[];
}

/** @throws StruPruneError ERR_TOKENIZER naming the part of tokenizer_config.json that is something else than it must be */
export function checkTokenizerConfig(config: TokenizerConfig, folder: string): void {
  parse(tokenizerConfig, config, join(folder, 'tokenizer_config.json'));
}

/** The steps of a part, those of sequences among them; null where there is no such part. @throws as checkTokenizerJson */
export function stepsOf<Name extends PartName>(
  json: TokenizerJson,
  name: Name,
  file = 'tokenizer.json',
): Step<Name>[] | null {
  const { step, list } = PARTS[name];
  const given: unknown = json[name] ?? null;
  if (given === null) return null;
  return flattened(given, list).map((found) => parse(step, found, file, name) as Step<Name>);
}

/** The steps of a part of tokenizer.json, those of sequences among them, unchecked. */
export function flattened(component: unknown, list: string): unknown[] {
  if (!isObject(component) || component.type !== 'Sequence') return [component];
  const steps = component[list];
  return Array.isArray(steps) ? steps.flatMap((step) => flattened(step, list)) : [null];
}

function parse(schema: z.ZodType, value: unknown, file: string, ...at: string[]): unknown {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const named = [...at, ...issue.path].map(String).join('.').slice(0, 100);
  const type = isObject(value) && value.type;
  if (issue.code === 'invalid_union' && issue.path[0] === 'type' && typeof type === 'string') {
    throw unsupported(`the ${at[0]} ${JSON.stringify(type.slice(0, 40))}`);
  }
  throw damaged(`${file} is damaged: its ${named} is not what a tokenizer has there`);
}

function damaged(found: string): StruPruneError {
  return new StruPruneError('ERR_TOKENIZER', found, 'get the file again');
}

/** Of something that Rust runs and we do not. */
export function unsupported(what: string): StruPruneError {
  return new StruPruneError(
    'ERR_UNSUPPORTED',
    `${what} is not supported in tokenizer.json`,
    'use a model with a byte-level or a SentencePiece-like BPE tokenizer',
  );
}

/**
 * Whether the ids are those that Rust gives: it refuses merges of what is no token, and goes by the vocabulary where an
 * added token states another id. @throws StruPruneError ERR_TOKENIZER, ERR_UNSUPPORTED
 */
export function checkVocabulary({ model, added_tokens }: TokenizerJson): void {
  const { vocab, merges, unk_token } = model;
  if (model.continuing_subword_prefix || model.end_of_word_suffix) {
    throw unsupported('a BPE model with subword prefixes or suffixes');
  }
  if (model.dropout) throw unsupported('BPE dropout');
  const isToken = (token: string) => Object.hasOwn(vocab, token);
  if (typeof unk_token === 'string' && !isToken(unk_token)) {
    throw damaged(`the unknown token ${cited(unk_token)} is not in the vocabulary`);
  }
  for (const [left, right] of mergePairs(merges)) {
    const missing = [left, right, left + right].find((token) => !isToken(token));
    if (missing !== undefined) {
      throw damaged(`the merges make or need ${cited(missing)}, which is not in the vocabulary`);
    }
  }
  const ids = new Set(Object.values(vocab));
  const size = Object.keys(vocab).length;
  if (ids.size < size) throw damaged('two tokens of the vocabulary have the same id');
  const seen = new Set<string>();
  let next = size;
  for (const { id, content } of added_tokens) {
    const expected = isToken(content) ? vocab[content] : next;
    if (seen.has(content)) throw damaged(`the added token ${cited(content)} is there twice`);
    if (id !== expected || (!isToken(content) && ids.has(id))) {
      throw damaged(
        `the added token ${cited(content)} has the id ${id}, but by the vocabulary it is ${expected}`,
      );
    }
    seen.add(content);
    next = Math.max(next, id + 1);
  }
}

const cited = (token: string) => JSON.stringify(token.slice(0, 40));
