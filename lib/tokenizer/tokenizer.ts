/** Text to token ids and back, through @huggingface/tokenizers. */
import {
  ByteFallbackDecoder,
  Tokenizer as HuggingFaceTokenizer,
  SequenceDecoder,
} from '@huggingface/tokenizers';
import { parseGguf } from '../checkpoint/container';
import { StruPruneError } from '../errors';
import { type Cutter, cutterFor } from './cuts';
import { readTokenizerFolder } from './folder';
import { tokenizerFromGguf } from './from-gguf';
import { rewriteForJavaScript, stripperFor } from './rewrite';
import { type TokenizerFiles, tokenText } from './types';

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
  const rewritten = rewriteForJavaScript(tokenizerJson);
  let inner: HuggingFaceTokenizer;
  try {
    inner = new HuggingFaceTokenizer(rewritten, tokenizerConfig);
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new StruPruneError(
      'ERR_TOKENIZER',
      `the tokenizer cannot be loaded: ${message}`,
      'get the tokenizer of the model again',
      { cause },
    );
  }
  keepByteOrderMarks(inner.decoder);
  const cutter = cutterFor(tokenizerJson);
  const idOf = (text: string | null) => (text === null ? null : (inner.token_to_id(text) ?? null));
  let vocabSize = 0;
  for (const id of inner.get_vocab().values()) vocabSize = Math.max(vocabSize, id + 1);
  const strip = stripperFor(tokenizerJson) ?? ((text: string) => text);
  const encodePiece = (text: string) =>
    inner.encode(strip(text), { add_special_tokens: false }).ids;
  const encodeParts = (
    parts: Iterable<string>,
    maxTokens = Number.POSITIVE_INFINITY,
    longest = LONGEST,
  ) => encodeAll(encodePiece, cutter, parts, maxTokens, longest);
  return {
    encode: (text) => encodeParts([text]),
    encodeParts,
    decode: (ids) => {
      const list = Array.from(ids);
      if (list.length === 0) return '';
      return inner.decode(list, {
        clean_up_tokenization_spaces: tokenizerConfig.clean_up_tokenization_spaces ?? false,
      });
    },
    vocabSize,
    bosTokenId: idOf(tokenText(tokenizerConfig.bos_token)),
    eosTokenId: idOf(tokenText(tokenizerConfig.eos_token)),
  };
}

/** The library's decoder of byte tokens swallows U+FEFF; Rust's does not. */
function keepByteOrderMarks(decoder: HuggingFaceTokenizer['decoder']): void {
  if (decoder instanceof SequenceDecoder) decoder.decoders.forEach(keepByteOrderMarks);
  if (decoder instanceof ByteFallbackDecoder) {
    decoder.text_decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  }
}

/** More characters in one piece than any machine's memory holds the ids of. */
const LONGEST = 1 << 28;
/** UTF-16 units handed to the library at a time; larger pieces cost memory and win nothing. */
const CHUNK_LENGTH = 1 << 14;

function encodeAll(
  encodePiece: (text: string) => number[],
  cutter: Cutter | null,
  parts: Iterable<string>,
  maxTokens: number,
  longest: number,
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
