/** The parts of `tokenizer.json`, `tokenizer_config.json` and GGUF metadata that this program reads. */
import { StruPruneError } from '../errors';

/** A component of `tokenizer.json` (normalizer, pre-tokenizer, decoder, …): a type and its options. */
export interface Component {
  type: string;
  [option: string]: unknown;
}

export interface AddedToken {
  id: number;
  content: string;
  single_word: boolean;
  lstrip: boolean;
  rstrip: boolean;
  normalized: boolean;
  special: boolean;
}

export interface BpeModel {
  type?: string;
  vocab: Record<string, number>;
  /** Pairs, or `"left right"` in older files; best first. */
  merges: (string | [string, string])[];
  unk_token?: string | null;
  fuse_unk?: boolean | null;
  byte_fallback?: boolean | null;
  ignore_merges?: boolean | null;
  continuing_subword_prefix?: string | null;
  end_of_word_suffix?: string | null;
  dropout?: number | null;
}

export interface TokenizerJson {
  version: string;
  truncation: unknown;
  padding: unknown;
  added_tokens: AddedToken[];
  normalizer: Component | null;
  pre_tokenizer: Component | null;
  post_processor: Component | null;
  decoder: Component | null;
  model: BpeModel;
}

/** A special token as configs write it: bare, or as an added token's object. */
export type SpecialToken = string | { content: string } | null;

export interface TokenizerConfig {
  tokenizer_class?: string;
  bos_token?: SpecialToken;
  eos_token?: SpecialToken;
  unk_token?: SpecialToken;
  pad_token?: SpecialToken;
  add_bos_token?: boolean | null;
  add_eos_token?: boolean | null;
  chat_template?: string | NamedTemplate[] | null;
  clean_up_tokenization_spaces?: boolean;
  [key: string]: unknown;
}

export interface NamedTemplate {
  name: string;
  template: string;
}

/** The chat template that is taken where none is named. */
export const DEFAULT_TEMPLATE = 'default';

type ChatTemplate = TokenizerConfig['chat_template'];

/** All of a configuration's templates, the default one by its name. */
export function templatesOf(given: ChatTemplate): NamedTemplate[] {
  if (typeof given !== 'string') return given ?? [];
  return [{ name: DEFAULT_TEMPLATE, template: given }];
}

/** With others that have names, which go before those of the same name; as it was where there are none. */
export function withTemplates(given: ChatTemplate, named: readonly NamedTemplate[]): ChatTemplate {
  if (named.length === 0) return given;
  const names = named.map(({ name }) => name);
  return [...templatesOf(given).filter(({ name }) => !names.includes(name)), ...named];
}

/** What a Hugging Face folder holds of a tokenizer, parsed. */
export interface TokenizerFiles {
  tokenizerJson: TokenizerJson;
  tokenizerConfig: TokenizerConfig;
  /** Name (`bos_token`, …) to token text. */
  specialTokensMap: Record<string, string>;
}

/** One GGUF metadata entry with its type, ready to be written. */
export type GgufEntry =
  | { type: 'string'; value: string }
  | { type: 'uint32' | 'float32'; value: number }
  | { type: 'bool'; value: boolean }
  | { type: 'array:string'; value: string[] }
  | { type: 'array:int32' | 'array:float32'; value: number[] };

export type GgufEntries = Record<string, GgufEntry>;

/** `tokenizer.ggml.token_type` of llama.cpp. */
export const TOKEN_TYPE = {
  normal: 1,
  unknown: 2,
  control: 3,
  userDefined: 4,
  unused: 5,
  byte: 6,
} as const;

/** The text of a special token, or null. */
export function tokenText(token: SpecialToken | undefined): string | null {
  if (token === null || token === undefined) return null;
  return typeof token === 'string' ? token : token.content;
}

/** Merges as pairs, whichever way the file writes them; older ones may begin with a line that says their version. */
export function mergePairs(merges: BpeModel['merges']): [string, string][] {
  const isPair = (merge: string | [string, string]) =>
    typeof merge !== 'string' || !merge.startsWith('#version');
  return merges.filter(isPair).map((merge) => {
    if (typeof merge !== 'string') return merge;
    const space = merge.indexOf(' ', 1);
    if (space < 0) {
      throw new StruPruneError(
        'ERR_TOKENIZER',
        `the merge ${JSON.stringify(merge.slice(0, 100))} is not two tokens with a space between them`,
        'the tokenizer is damaged; get it again',
      );
    }
    return [merge.slice(0, space), merge.slice(space + 1)];
  });
}

/** The components of a possibly nested `Sequence`, in order. */
export function flatten(component: Component | null): Component[] {
  if (component === null || component === undefined) return [];
  if (component.type !== 'Sequence') return [component];
  const parts = component.normalizers ?? component.pretokenizers ?? component.processors;
  return Array.isArray(parts) ? (parts as Component[]).flatMap(flatten) : [];
}

/** The regular expression of a `Split` or `Replace`, or null where its pattern is a plain string. */
export function regexOf(component: Component): string | null {
  const pattern = component.pattern as { Regex?: string } | undefined;
  return pattern?.Regex ?? null;
}
