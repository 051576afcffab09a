/** The tokenizer of a Hugging Face folder. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { readFolderFile, readFolderJson } from '../checkpoint/folder-file';
import { StruPruneError } from '../errors';
import { tokenizerFromGguf } from './from-gguf';
import { PRE_TOKENIZERS } from './gguf-pre-tokenizers';
import { GGML } from './gguf-vocabulary';
import { checkTokenizerConfig, checkTokenizerJson } from './schema';
import { SPACE } from './sentencepiece';
import { metadataOfSentencePiece } from './sentencepiece-file';
import {
  type AddedToken,
  type NamedTemplate,
  type SpecialToken,
  type TokenizerConfig,
  type TokenizerFiles,
  type TokenizerJson,
  tokenText,
  withTemplates,
} from './types';

/** Folder of named chat templates beside the default one, each a file. */
export const TEMPLATES = 'additional_chat_templates';
const JINJA = '.jinja';

/** The largest published tokenizer.json has 35 MB. */
export const MOST_BYTES = 2 ** 26;

const SPECIAL_NAMES = ['bos_token', 'eos_token', 'unk_token', 'pad_token'] as const;

/**
 * Reads tokenizer.json, or the vocab.json and merges.txt of GPT-2-like models (OPT), or the tokenizer.model of older Llama-like
 * ones, with tokenizer_config.json, special_tokens_map.json and chat templates where they exist.
 * @throws StruPruneError ERR_NOT_FOUND without a tokenizer, ERR_TOKENIZER for malformed files.
 */
export function readTokenizerFolder(folder: string): TokenizerFiles {
  const map = readJson<Record<string, SpecialToken>>(folder, 'special_tokens_map.json') ?? {};
  const config = readJson<TokenizerConfig>(folder, 'tokenizer_config.json') ?? {};
  const specialTokensMap: Record<string, string> = {};
  for (const name of SPECIAL_NAMES) {
    const text = tokenText(config[name] ?? map[name]);
    if (text !== null) config[name] = text;
  }
  // As transformers: a template in a file of its own goes before the configuration's.
  const template =
    readText(folder, 'chat_template.jinja') ??
    readJson<Pick<TokenizerConfig, 'chat_template'>>(folder, 'chat_template.json')?.chat_template;
  if (template) config.chat_template = template;
  const tokenizerJson =
    readTokenizerJson(folder) ??
    fromVocabAndMerges(folder, config) ??
    fromSentencePiece(folder, config);
  for (const name of SPECIAL_NAMES) {
    const text = tokenText(config[name]);
    if (text !== null) specialTokensMap[name] = text;
  }
  checkTokenizerJson(tokenizerJson, folder);
  checkTokenizerConfig(config, folder);
  const templates = withTemplates(config.chat_template, namedTemplates(folder));
  if (templates) config.chat_template = templates;
  tokenizerJson.added_tokens ??= [];
  addConfiguredTokens(tokenizerJson, config);
  return { tokenizerJson, tokenizerConfig: config, specialTokensMap };
}

/** Chat templates beside the default one: names of files in `TEMPLATES`. */
export function templateFiles(folder: string): string[] {
  const path = join(folder, TEMPLATES);
  if (!existsSync(path)) return [];
  let names: string[];
  try {
    names = readdirSync(path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const text = `${path} cannot be read: ${code}`;
    throw new StruPruneError('ERR_TOKENIZER', text, 'get the file again', { cause });
  }
  return names.filter((name) => name.endsWith(JINJA)).sort();
}

function namedTemplates(folder: string): NamedTemplate[] {
  return templateFiles(folder).flatMap((file) => {
    const template = readText(folder, join(TEMPLATES, file));
    // A link to nothing.
    return template === null ? [] : [{ name: file.slice(0, -JINJA.length), template }];
  });
}

/** As it stands, unchecked; null where there is none. @throws StruPruneError ERR_TOKENIZER */
export function readTokenizerJson(folder: string): TokenizerJson | null {
  return readJson<TokenizerJson>(folder, 'tokenizer.json');
}

/** Of a file of the tokenizer that is no such file. */
export const TOKENIZER_REFUSAL = { code: 'ERR_TOKENIZER', mend: 'get the file again' } as const;

/** The bytes of a file of the folder; null where there is no such file. @throws StruPruneError ERR_TOKENIZER */
function readTokenizerFile(folder: string, name: string): Buffer | null {
  return readFolderFile(folder, name, TOKENIZER_REFUSAL, MOST_BYTES);
}

function readJson<T>(folder: string, name: string): T | null {
  return readFolderJson<T>(folder, name, TOKENIZER_REFUSAL, MOST_BYTES);
}

function readText(folder: string, name: string): string | null {
  return readTokenizerFile(folder, name)?.toString('utf8') ?? null;
}

/** GPT-2's older two-file form; every special token that the config names is an added token. */
function fromVocabAndMerges(folder: string, config: TokenizerConfig): TokenizerJson | null {
  const vocab = readJson<Record<string, number>>(folder, 'vocab.json');
  const mergesText = readText(folder, 'merges.txt');
  if (vocab === null || mergesText === null) return null;
  const merges = mergesText
    .split(/\r?\n/)
    .filter((line) => line !== '' && !line.startsWith('#version'));
  const specials = new Set(SPECIAL_NAMES.map((name) => tokenText(config[name])));
  const added = [...specials]
    .filter((token): token is string => token !== null && token in vocab)
    .map((content) => addedToken(vocab[content]!, content, true))
    .sort((a, b) => a.id - b.id);
  const gpt2 = PRE_TOKENIZERS[0]!.steps[0]!;
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: null,
    pre_tokenizer: { ...gpt2, add_prefix_space: config.add_prefix_space === true },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: { type: 'BPE', vocab, merges },
  };
}

/**
 * SentencePiece's file, as transformers converts it for LlamaTokenizer. Special tokens that the configuration does not name are
 * added to it. BOS stands in front unless the configuration says otherwise; with `legacy: false` a space is put before the first
 * word alone.
 */
function fromSentencePiece(folder: string, config: TokenizerConfig): TokenizerJson {
  const name = 'tokenizer.model';
  const bytes = readTokenizerFile(folder, name);
  if (bytes === null) {
    throw new StruPruneError(
      'ERR_NOT_FOUND',
      `${folder} holds neither tokenizer.json nor vocab.json with merges.txt nor ${name}`,
      'put the tokenizer files of the model into the folder',
    );
  }
  const metadata = metadataOfSentencePiece(bytes, join(folder, name));
  const { tokenizerJson, specialTokensMap } = tokenizerFromGguf({
    ...metadata,
    [`${GGML}add_bos_token`]: config.add_bos_token ?? true,
  });
  for (const [special, token] of Object.entries(specialTokensMap)) config[special] ??= token;
  const prefixes = metadata[`${GGML}add_space_prefix`] === true;
  if (config.legacy !== false) return tokenizerJson;
  const prepend_scheme = prefixes ? 'first' : 'never';
  const pre_tokenizer = { type: 'Metaspace', replacement: SPACE, prepend_scheme, split: false };
  return { ...tokenizerJson, normalizer: null, pre_tokenizer };
}

function addedToken(id: number, content: string, special: boolean): AddedToken {
  return {
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: !special,
    special,
  };
}

/** tokenizer_config.json may list tokens that tokenizer.json lacks; transformers adds them. */
function addConfiguredTokens(tokenizerJson: TokenizerJson, config: TokenizerConfig): void {
  const listed = config.added_tokens_decoder as Record<string, Partial<AddedToken>> | undefined;
  const known = new Set(tokenizerJson.added_tokens.map(({ content }) => content));
  for (const [id, token] of Object.entries(listed ?? {})) {
    if (token.content === undefined || known.has(token.content)) continue;
    const base = addedToken(Number(id), token.content, token.special === true);
    tokenizerJson.added_tokens.push({ ...base, ...token, id: Number(id) } as AddedToken);
  }
}
