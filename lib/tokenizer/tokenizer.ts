/** Text to token ids and back, as Rust's `tokenizers` does it (docs/decisions/0017). */
import { parseGguf } from '../checkpoint/container';
import { StruPruneError } from '../errors';
import { AddedTokens } from './added-tokens';
import { addsBos } from './bos';
import { Bpe } from './bpe';
import { type Cutter, cutterFor } from './cuts';
import { decoderOf } from './decode';
import { readTokenizerFolder } from './folder';
import { tokenizerFromGguf } from './from-gguf';
import { normalizerOf } from './normalize';
import { preTokenizerOf } from './pre-tokenize';
import { checkVocabulary } from './schema';
import { type AddedToken, type TokenizerFiles, tokenText } from './types';

/** Where a tokenizer comes from; plain data, so that it can be sent to a worker. */
export type TokenizerSource =
  | { kind: 'folder'; folder: string }
  | { kind: 'gguf'; file: string }
  | { kind: 'files'; files: TokenizerFiles };

export interface Tokenizer {
  /** Ids of the text as it stands; no special token is added. */
  encode(text: string): Int32Array;
  /**
   * Ids of a text that comes in parts, the first `maxTokens` of them. @throws StruPruneError ERR_TEXT where it cannot be cut
   * in more than `longest` characters
   */
  encodeParts(parts: Iterable<string>, maxTokens?: number, longest?: number): Int32Array;
  /** Special tokens are spelled out. */
  decode(ids: Iterable<number>): string;
  /** Largest id + 1; a model's embedding table may have more rows. */
  readonly vocabSize: number;
  readonly bosTokenId: number | null;
  /** What transformers puts in front of a text; null: nothing. */
  readonly prefixId: number | null;
  readonly eosTokenId: number | null;
}

export function readTokenizerFiles(source: TokenizerSource): TokenizerFiles {
  switch (source.kind) {
    case 'folder':
      return readTokenizerFolder(source.folder);
    case 'gguf':
      return tokenizerFromGguf(parseGguf(source.file).metadata);
    case 'files':
      return source.files;
  }
}

/**
 * @throws StruPruneError ERR_NOT_FOUND, ERR_TOKENIZER for a damaged tokenizer, ERR_UNSUPPORTED for one whose
 *   ids would differ from those of transformers.
 */
export function loadTokenizer(source: TokenizerSource): Tokenizer {
  const { tokenizerJson, tokenizerConfig } = readTokenizerFiles(source);
  checkVocabulary(tokenizerJson);
  const cutter = cutterFor(tokenizerJson);
  const normalize = normalizerOf(tokenizerJson);
  const model = new Bpe(tokenizerJson.model);
  const encodePiece = encoderOf(tokenizerJson.added_tokens, {
    normalize,
    cut: preTokenizerOf(tokenizerJson),
    encode: (word) => model.encode(word),
  });
  const encodeParts = (
    parts: Iterable<string>,
    maxTokens = Number.POSITIVE_INFINITY,
    longest = LONGEST,
  ) => encodeAll(encodePiece, cutter, parts, maxTokens, longest);
  const ids = new Map(Object.entries(tokenizerJson.model.vocab));
  const tokens = new Map(Array.from(ids, ([token, id]) => [id, token]));
  for (const { content, id, normalized } of tokenizerJson.added_tokens) {
    ids.set(content, id);
    tokens.set(id, normalized ? normalize(content) : content);
  }
  const decode = decoderOf(tokenizerJson);
  const tidy = tokenizerConfig.clean_up_tokenization_spaces === true;
  const idOf = (text: string | null) => (text === null ? null : (ids.get(text) ?? null));
  const bos = idOf(tokenText(tokenizerConfig.bos_token));
  // A post-processor goes before what the configuration says.
  const prefixed =
    addsBos(tokenizerJson, tokenizerConfig) || tokenizerConfig.add_bos_token === true;
  return {
    encode: (text) => encodeParts([text]),
    encodeParts,
    decode: (list) => {
      const known = Array.from(list, (id) => tokens.get(id)).filter((token) => token !== undefined);
      const text = decode(known);
      return tidy ? withoutTokenizationSpaces(text) : text;
    },
    vocabSize: [...tokens.keys()].reduce((size, id) => Math.max(size, id + 1), 0),
    bosTokenId: bos,
    prefixId: prefixed ? bos : null,
    eosTokenId: idOf(tokenText(tokenizerConfig.eos_token)),
  };
}

/** What becomes of the text between added tokens. */
export interface WordSteps {
  normalize: (text: string) => string;
  /** `first`: whether the text is the first of what was given. */
  cut: (text: string, first: boolean) => string[];
  encode: (word: string) => Iterable<number>;
}

/** Ids of a piece of text: added tokens, then what stands between them. */
export function encoderOf(
  added: readonly AddedToken[],
  { normalize, cut, encode }: WordSteps,
): (text: string) => number[] {
  const asTheyStand = new AddedTokens(
    added.filter(({ normalized }) => !normalized).map((token) => [token.content, token]),
  );
  const normalized = new AddedTokens(
    added.filter((token) => token.normalized).map((token) => [normalize(token.content), token]),
  );
  return (text) => {
    const ids: number[] = [];
    const first = (from: number, section: { from: number }) => from + section.from === 0;
    for (const section of asTheyStand.split(text)) {
      if (section.id !== null) {
        ids.push(section.id);
        continue;
      }
      for (const part of normalized.split(normalize(section.text))) {
        if (part.id !== null) {
          ids.push(part.id);
          continue;
        }
        for (const word of cut(part.text, first(section.from, part))) {
          for (const id of encode(word)) ids.push(id);
        }
      }
    }
    return ids;
  };
}

/** As transformers does where a tokenizer's configuration asks for it. */
function withoutTokenizationSpaces(text: string): string {
  return text
    .replace(/ ([.?!,])/g, '$1')
    .replaceAll(" ' ", "'")
    .replace(/ (n't|'m|'s|'ve|'re)/g, '$1');
}

/** More characters in one piece than any machine's memory holds the ids of. */
const LONGEST = 1 << 28;
/** UTF-16 units handed to the library at a time; larger pieces cost memory and win nothing. */
const CHUNK_LENGTH = 1 << 14;

export function encodeAll(
  encodePiece: (text: string) => number[],
  cutter: Cutter | null,
  parts: Iterable<string>,
  maxTokens: number,
  longest = LONGEST,
): Int32Array {
  let ids = new Int32Array(1024);
  let count = 0;
  const encode = (text: string) => {
    const found = encodePiece(text);
    if (count + found.length > ids.length) {
      const larger = new Int32Array(Math.max(2 * ids.length, count + found.length));
      larger.set(ids);
      ids = larger;
    }
    ids.set(found, count);
    count += found.length;
  };
  let pending = '';
  let tryAt = CHUNK_LENGTH; // length of `pending` at which a cut is looked for
  for (const piece of pieces(parts)) {
    if (count >= maxTokens) break;
    pending += piece;
    if (pending.length < tryAt) continue;
    const cut = cutter?.lastCut(pending) ?? 0;
    if (!cutter || cut === 0) {
      if (pending.length >= longest) {
        throw new StruPruneError(
          'ERR_TEXT',
          `the text has no place in ${pending.length} characters at which this tokenizer lets it be cut, and in one piece it would take too much memory`,
          'give a text with spaces, or leave --memory out if it was given',
        );
      }
      tryAt = 2 * pending.length;
      continue;
    }
    encode(pending.slice(0, cut));
    pending = cutter.continueFrom(pending, cut);
    tryAt = CHUNK_LENGTH;
  }
  if (count < maxTokens && pending !== '') encode(pending);
  return ids.slice(0, Math.min(count, maxTokens));
}

/** The same text in pieces of at most a chunk. */
function* pieces(parts: Iterable<string>): Generator<string, void> {
  for (const part of parts) {
    for (let at = 0; at < part.length; at += CHUNK_LENGTH) yield part.slice(at, at + CHUNK_LENGTH);
  }
}
