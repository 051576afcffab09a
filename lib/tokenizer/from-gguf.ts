/** A Hugging Face tokenizer built from the metadata of a GGUF file. */
import { StruPruneError } from '../errors';
import { PRE_TOKENIZERS } from './gguf-pre-tokenizers';
import {
  addedTokens,
  CHAT_TEMPLATE,
  firstOfType,
  GGML,
  readVocabulary,
  required,
  sameLength,
  type Vocabulary,
  vocab,
} from './gguf-vocabulary';
import {
  type Metadata,
  optionalBoolean,
  optionalInteger,
  optionalNumbers,
  optionalString,
  optionalStrings,
} from './metadata';
import { mergesFromScores, spaceDecoder, spaceNormalizer } from './sentencepiece';
import {
  type BpeModel,
  type Component,
  mergePairs,
  TOKEN_TYPE,
  type TokenizerConfig,
  type TokenizerFiles,
  type TokenizerJson,
  withTemplates,
} from './types';

/** The parts of tokenizer.json that depend on the kind of vocabulary. */
interface Kind {
  normalizer: Component | null;
  preTokenizer: Component | null;
  decoder: Component;
  model: BpeModel;
  /** Whether BOS is added where the file does not say. */
  addBos: boolean;
}

/**
 * Builds `tokenizer.json`, `tokenizer_config.json` and the special tokens map from GGUF metadata of the kinds
 * "gpt2" (byte-level BPE) and "llama" (SentencePiece BPE with byte fallback).
 * @throws StruPruneError ERR_TOKENIZER for missing or malformed keys, ERR_UNSUPPORTED for other kinds.
 */
export function tokenizerFromGguf(metadata: Metadata): TokenizerFiles {
  const kind = optionalString(metadata, `${GGML}model`);
  if (kind !== 'gpt2' && kind !== 'llama') {
    throw new StruPruneError(
      kind === null ? 'ERR_TOKENIZER' : 'ERR_UNSUPPORTED',
      kind === null
        ? 'the GGUF file holds no tokenizer'
        : `tokenizers of the GGUF kind "${kind}" are not supported`,
      'use the Hugging Face folder of the model',
    );
  }
  const vocabulary = readVocabulary(metadata);
  const parts =
    kind === 'gpt2' ? byteLevelKind(metadata, vocabulary) : scoredKind(metadata, vocabulary);
  const addBos = optionalBoolean(metadata, `${GGML}add_bos_token`) ?? parts.addBos;
  const tokenizerJson: TokenizerJson = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: addedTokens(vocabulary),
    normalizer: parts.normalizer,
    pre_tokenizer: parts.preTokenizer,
    post_processor: postProcessor(vocabulary, addBos, kind),
    decoder: parts.decoder,
    model: parts.model,
  };
  const specialTokensMap = { ...vocabulary.specials } as Record<string, string>;
  return {
    tokenizerJson,
    tokenizerConfig: config(metadata, addBos, specialTokensMap),
    specialTokensMap,
  };
}

function byteLevelKind(metadata: Metadata, vocabulary: Vocabulary): Kind {
  const pre = optionalString(metadata, `${GGML}pre`) ?? 'default';
  const entry = PRE_TOKENIZERS.find(({ names }) => names.includes(pre));
  if (entry === undefined) {
    throw new StruPruneError(
      'ERR_UNSUPPORTED',
      `the GGUF pre-tokenizer "${pre}" is not supported (known: ${PRE_TOKENIZERS.flatMap(({ names }) => names).join(', ')})`,
      'use the Hugging Face folder of the model',
    );
  }
  const merges = required(optionalStrings(metadata, `${GGML}merges`), 'merges');
  const steps = entry.steps;
  return {
    normalizer: entry.normalizer,
    preTokenizer: steps.length === 1 ? steps[0]! : { type: 'Sequence', pretokenizers: [...steps] },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      ...MODEL_DEFAULTS,
      ignore_merges: entry.ignoreMerges,
      vocab: vocab(vocabulary),
      merges: mergePairs(merges),
    },
    addBos: entry.addBos ?? false,
  };
}

function scoredKind(metadata: Metadata, vocabulary: Vocabulary): Kind {
  const { tokens, specials } = vocabulary;
  if (optionalBoolean(metadata, `${GGML}remove_extra_whitespaces`)) {
    throw new StruPruneError(
      'ERR_UNSUPPORTED',
      'tokenizers that remove extra white space are not supported',
      'use the Hugging Face folder of the model',
    );
  }
  const stored = optionalStrings(metadata, `${GGML}merges`);
  const prefix = optionalBoolean(metadata, `${GGML}add_space_prefix`) ?? true;
  return {
    normalizer: spaceNormalizer(prefix),
    preTokenizer: null,
    decoder: spaceDecoder(prefix),
    model: {
      type: 'BPE',
      ...MODEL_DEFAULTS,
      unk_token: specials.unk_token ?? firstOfType(vocabulary, TOKEN_TYPE.unknown),
      fuse_unk: true,
      byte_fallback: true,
      vocab: vocab(vocabulary),
      merges: stored ? mergePairs(stored) : mergesFromScores(tokens, readScores(metadata, tokens)),
    },
    addBos: true,
  };
}

const MODEL_DEFAULTS = {
  dropout: null,
  unk_token: null as string | null,
  continuing_subword_prefix: null,
  end_of_word_suffix: null,
  fuse_unk: false,
  byte_fallback: false,
  ignore_merges: false,
};

function readScores(metadata: Metadata, tokens: string[]): ArrayLike<number> {
  const scores = required(optionalNumbers(metadata, `${GGML}scores`), 'scores');
  sameLength('scores', scores.length, tokens.length);
  return scores;
}

function postProcessor(
  { tokens, specials }: Vocabulary,
  addBos: boolean,
  kind: string,
): Component | null {
  const byteLevel = {
    type: 'ByteLevel',
    add_prefix_space: true,
    trim_offsets: false,
    use_regex: true,
  };
  const bos = specials.bos_token;
  if (!addBos || bos === undefined) return kind === 'gpt2' ? byteLevel : null;
  const bosItem = (typeId: number) => ({ SpecialToken: { id: bos, type_id: typeId } });
  const text = (id: string, typeId: number) => ({ Sequence: { id, type_id: typeId } });
  return {
    type: 'TemplateProcessing',
    single: [bosItem(0), text('A', 0)],
    pair: [bosItem(0), text('A', 0), bosItem(1), text('B', 1)],
    special_tokens: { [bos]: { id: bos, ids: [tokens.indexOf(bos)], tokens: [bos] } },
  };
}

function config(
  metadata: Metadata,
  addBos: boolean,
  specials: Record<string, string>,
): TokenizerConfig {
  const architecture = optionalString(metadata, 'general.architecture');
  const positions = optionalInteger(metadata, `${architecture}.context_length`);
  const addEos = optionalBoolean(metadata, `${GGML}add_eos_token`);
  const template = optionalString(metadata, CHAT_TEMPLATE);
  const named = Object.keys(metadata)
    .filter((key) => key.startsWith(`${CHAT_TEMPLATE}.`))
    .map((key) => ({
      name: key.slice(CHAT_TEMPLATE.length + 1),
      template: optionalString(metadata, key)!,
    }));
  const templates = withTemplates(template, named);
  return {
    // The one class that takes tokenizer.json as it stands; the model's own classes rebuild parts of it.
    tokenizer_class: 'PreTrainedTokenizerFast',
    ...specials,
    add_bos_token: addBos,
    ...(addEos === null ? {} : { add_eos_token: addEos }),
    clean_up_tokenization_spaces: false,
    ...(positions === null ? {} : { model_max_length: positions }),
    ...(templates ? { chat_template: templates } : {}),
  };
}
