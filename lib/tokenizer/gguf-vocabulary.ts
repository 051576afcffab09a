/** The vocabulary of a GGUF file: tokens, their types, and which of them are special. */
import { StruPruneError } from '../errors';
import { type Metadata, optionalInteger, optionalNumbers, optionalStrings } from './metadata';
import { type AddedToken, TOKEN_TYPE } from './types';

export const GGML = 'tokenizer.ggml.';
/** Key of the default template; `CHAT_TEMPLATE.name` are those of others. */
export const CHAT_TEMPLATE = 'tokenizer.chat_template';

/** Special tokens by their name in configs and in the metadata. */
export const SPECIAL_TOKEN_KEYS = {
  bos_token: `${GGML}bos_token_id`,
  eos_token: `${GGML}eos_token_id`,
  unk_token: `${GGML}unknown_token_id`,
  pad_token: `${GGML}padding_token_id`,
} as const;
type SpecialName = keyof typeof SPECIAL_TOKEN_KEYS;

export interface Vocabulary {
  tokens: string[];
  types: ArrayLike<number>;
  specials: Partial<Record<SpecialName, string>>;
}

export function readVocabulary(metadata: Metadata): Vocabulary {
  const tokens = required(optionalStrings(metadata, `${GGML}tokens`), 'tokens');
  const types =
    optionalNumbers(metadata, `${GGML}token_type`) ??
    new Int32Array(tokens.length).fill(TOKEN_TYPE.normal);
  sameLength('token_type', types.length, tokens.length);
  const specials: Vocabulary['specials'] = {};
  for (const [name, key] of Object.entries(SPECIAL_TOKEN_KEYS) as [SpecialName, string][]) {
    const id = optionalInteger(metadata, key);
    if (id === null) continue;
    const token = tokens[id];
    if (token === undefined) {
      throw new StruPruneError(
        'ERR_TOKENIZER',
        `GGUF metadata ${key} is ${id}, but the vocabulary has ${tokens.length} tokens`,
        'the file is damaged; get it again',
      );
    }
    specials[name] = token;
  }
  return { tokens, types, specials };
}

/** Rows that only pad the embedding table are no tokens. */
function isPadding(token: string, type: number): boolean {
  return type === TOKEN_TYPE.unused && /^\[PAD\d+\]$/.test(token);
}

export function vocab({ tokens, types }: Vocabulary): Record<string, number> {
  return Object.fromEntries(
    tokens.map((token, id) => [token, id] as const).filter(([t, id]) => !isPadding(t, types[id]!)),
  );
}

export function firstOfType({ tokens, types }: Vocabulary, type: number): string | null {
  return tokens.find((_, id) => types[id] === type) ?? null;
}

export function addedTokens({ tokens, types }: Vocabulary): AddedToken[] {
  const added: AddedToken[] = [];
  for (const [id, content] of tokens.entries()) {
    const type = types[id]!;
    const special = type === TOKEN_TYPE.control || type === TOKEN_TYPE.unknown;
    if (!special && type !== TOKEN_TYPE.userDefined) continue;
    added.push({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special,
    });
  }
  return added;
}

export function required<T>(value: T | null, name: string): T {
  if (value !== null) return value;
  throw new StruPruneError(
    'ERR_TOKENIZER',
    `the GGUF file has no ${GGML}${name}`,
    'use a file with a complete tokenizer, or the Hugging Face folder of the model',
  );
}

export function sameLength(name: string, length: number, tokens: number): void {
  if (length === tokens) return;
  throw new StruPruneError(
    'ERR_TOKENIZER',
    `${GGML}${name} has ${length} entries for ${tokens} tokens`,
    'the file is damaged; get it again',
  );
}
