/** GGUF metadata that describes a Hugging Face tokenizer to llama.cpp. */
import { AS_FOLDER } from '../checkpoint/output-path';
import { StruPruneError } from '../errors';
import { addsBos } from './bos';
import { mergesMakeAll } from './bpe';
import { type PreTokenizer, preTokenizersLike } from './gguf-pre-tokenizers';
import { CHAT_TEMPLATE, GGML, SPECIAL_TOKEN_KEYS } from './gguf-vocabulary';
import { SPACE, scoresFromMerges } from './sentencepiece';
import {
  DEFAULT_TEMPLATE,
  flatten,
  type GgufEntries,
  type GgufEntry,
  mergePairs,
  TOKEN_TYPE,
  type TokenizerConfig,
  type TokenizerJson,
  templatesOf,
  tokenText,
} from './types';

/**
 * Metadata entries (`tokenizer.*`) for a byte-level or a SentencePiece-like BPE tokenizer.
 * @param vocabSize rows of the embedding table; ids without a token get `[PAD<id>]` of type unused.
 * @throws StruPruneError ERR_UNSUPPORTED where llama.cpp has no name for what the tokenizer does,
 *   ERR_TOKENIZER when a token's id lies outside the table.
 */
export function ggufMetadataFromTokenizer(
  tokenizerJson: TokenizerJson,
  tokenizerConfig: TokenizerConfig,
  vocabSize: number,
): GgufEntries {
  const { model } = tokenizerJson;
  const { tokens, types } = tokenTable(tokenizerJson, tokenizerConfig, vocabSize);
  const merges = mergePairs(model.merges);
  const scored = model.byte_fallback === true;
  const entries: GgufEntries = {
    ...(scored ? scoredEntries(tokenizerJson, tokens, merges) : byteLevelEntries(tokenizerJson)),
    [`${GGML}tokens`]: { type: 'array:string', value: tokens },
    [`${GGML}token_type`]: { type: 'array:int32', value: types },
    [`${GGML}merges`]: { type: 'array:string', value: merges.map((pair) => pair.join(' ')) },
  };
  for (const [name, key] of Object.entries(SPECIAL_TOKEN_KEYS)) {
    const text = tokenText(tokenizerConfig[name as keyof typeof SPECIAL_TOKEN_KEYS]);
    const id = text === null ? -1 : tokens.indexOf(text);
    if (id >= 0) entries[key] = { type: 'uint32', value: id };
  }
  const addBos = tokenizerConfig.add_bos_token ?? addsBos(tokenizerJson, tokenizerConfig);
  entries[`${GGML}add_bos_token`] = bool(addBos);
  const addEos = tokenizerConfig.add_eos_token ?? null;
  if (addEos !== null) entries[`${GGML}add_eos_token`] = bool(addEos);
  return { ...entries, ...chatTemplates(tokenizerConfig) };
}

const string = (value: string): GgufEntry => ({ type: 'string', value });
const bool = (value: boolean): GgufEntry => ({ type: 'bool', value });

function byteLevelEntries(tokenizerJson: TokenizerJson): GgufEntries {
  const entry = preTokenizerOf(tokenizerJson);
  if (entry === undefined) {
    throw new StruPruneError(
      'ERR_UNSUPPORTED',
      'llama.cpp has no name for how this tokenizer cuts and merges text, so a GGUF file would be tokenised differently',
      AS_FOLDER,
    );
  }
  return { [`${GGML}model`]: string('gpt2'), [`${GGML}pre`]: string(entry.names[0]!) };
}

/** The entry by whose name llama.cpp gives the same ids, or undefined. */
function preTokenizerOf({
  pre_tokenizer,
  model,
  added_tokens,
}: TokenizerJson): PreTokenizer | undefined {
  const entries = preTokenizersLike(pre_tokenizer);
  const exact = entries.find(({ ignoreMerges }) => ignoreMerges === (model.ignore_merges === true));
  if (exact || entries.length === 0) return exact;
  const added = new Set(added_tokens.map(({ content }) => content));
  return mergesMakeAll(model, added) ? entries[0] : undefined;
}

function scoredEntries(
  tokenizerJson: TokenizerJson,
  tokens: string[],
  merges: [string, string][],
): GgufEntries {
  const prefixed =
    flatten(tokenizerJson.normalizer).some(({ type }) => type === 'Prepend') ||
    flatten(tokenizerJson.pre_tokenizer).some(
      (step) => step.type === 'Metaspace' && step.prepend_scheme !== 'never',
    );
  if (!(SPACE in tokenizerJson.model.vocab)) {
    throw new StruPruneError(
      'ERR_UNSUPPORTED',
      'the vocabulary has byte tokens but no "▁", so it is not the SentencePiece kind that llama.cpp reads',
      AS_FOLDER,
    );
  }
  return {
    [`${GGML}model`]: string('llama'),
    [`${GGML}pre`]: string('default'),
    [`${GGML}scores`]: { type: 'array:float32', value: scoresFromMerges(tokens, merges) },
    [`${GGML}add_space_prefix`]: bool(prefixed),
  };
}

/** Token text and type by id, `[vocabSize]` each. */
function tokenTable(
  { model, added_tokens }: TokenizerJson,
  config: TokenizerConfig,
  vocabSize: number,
): { tokens: string[]; types: number[] } {
  const tokens = Array.from({ length: vocabSize }, (_, id) => `[PAD${id}]`);
  const types = new Array<number>(vocabSize).fill(TOKEN_TYPE.unused);
  const put = (token: string, id: number, type: number) => {
    if (id >= vocabSize) {
      throw new StruPruneError(
        'ERR_TOKENIZER',
        `token ${JSON.stringify(token)} has id ${id}, but the model has ${vocabSize} embeddings`,
        'use the tokenizer that belongs to this model',
      );
    }
    tokens[id] = token;
    types[id] = type;
  };
  const isByte = (token: string) => model.byte_fallback && /^<0x[0-9A-F]{2}>$/.test(token);
  for (const [token, id] of Object.entries(model.vocab)) {
    put(token, id, isByte(token) ? TOKEN_TYPE.byte : TOKEN_TYPE.normal);
  }
  // Only SentencePiece files mark the unknown token; byte-level ones need none.
  const unknown = model.byte_fallback ? (model.unk_token ?? tokenText(config.unk_token)) : null;
  for (const { content, id, special } of added_tokens) {
    const kind = special ? TOKEN_TYPE.control : TOKEN_TYPE.userDefined;
    put(content, id, content === unknown ? TOKEN_TYPE.unknown : kind);
  }
  return { tokens, types };
}

/** The default one, and those with names as gguf-py writes them. */
function chatTemplates({ chat_template: given }: TokenizerConfig): GgufEntries {
  const list = templatesOf(given);
  const named = list.filter(({ name }) => name !== DEFAULT_TEMPLATE);
  const names = named.map(({ name }) => name.replace(/[^A-Za-z0-9]/g, '_'));
  const entries = Object.fromEntries(
    named.map(({ template }, i) => [`${CHAT_TEMPLATE}.${names[i]}`, string(template)]),
  );
  if (names.length > 0) entries[`${CHAT_TEMPLATE}s`] = { type: 'array:string', value: names };
  const first = list.find(({ name }) => name === DEFAULT_TEMPLATE);
  if (first) entries[CHAT_TEMPLATE] = string(first.template);
  return entries;
}
