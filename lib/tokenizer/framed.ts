/** Windows of a text as an encoder reads them: each between the tokens that its tokenizer puts around a sentence. */
import { StruPruneError } from '../errors';
import { wordCutter } from './cuts';
import { readTokenizerFolder, readTokenizerJson } from './folder';
import { checkedTokens, stepsOf } from './schema';
import { encodeAll, encoderOf, loadTokenizer } from './tokenizer';
import type { TokenizerJson } from './types';
import { isUnigram, unigramSteps } from './unigram';
import { isWordPiece, wordPieceSteps } from './wordpiece';

/** What is around a sentence. */
interface Frame {
  before: number[];
  after: number[];
}

export interface FramedText {
  parts: Iterable<string>;
  /** Folder of tokenizer.json. */
  folder: string;
  /** Tokens of a window, those around it among them. */
  window: number;
  /** Windows that are wanted. */
  most: number;
}

/**
 * `[windows · window]`, the last one whole too.
 * @throws StruPruneError ERR_TEXT where the text has none, ERR_NOT_FOUND, ERR_TOKENIZER, ERR_UNSUPPORTED
 */
export function framedWindows({ parts, folder, window, most }: FramedText): Int32Array {
  const { encode, frame } = encoderIn(folder);
  const { before, after } = frame;
  const inner = window - before.length - after.length;
  if (inner < 1) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `a window of ${window} tokens has no room between the tokenizer's own`,
      'give a larger --window',
    );
  }
  const ids = encode(parts, most * inner);
  const windows = Math.floor(ids.length / inner);
  if (windows === 0) {
    throw new StruPruneError(
      'ERR_TEXT',
      `the text has ${ids.length} tokens, fewer than a window of ${inner}`,
      'give a longer text or a smaller --window',
    );
  }
  const framed = new Int32Array(windows * window);
  for (let i = 0; i < windows; i++) {
    framed.set(before, i * window);
    framed.set(ids.subarray(i * inner, (i + 1) * inner), i * window + before.length);
    framed.set(after, i * window + before.length + inner);
  }
  return framed;
}

/** Tokenizers of encoders alone, which look at one word at a time. */
const WORDS = [
  { is: isWordPiece, steps: wordPieceSteps },
  { is: isUnigram, steps: unigramSteps },
];

interface Encoder {
  encode: (parts: Iterable<string>, maxTokens: number) => Int32Array;
  frame: Frame;
}

function encoderIn(folder: string): Encoder {
  const json = readTokenizerJson(folder);
  const stepsOfWords = json && WORDS.find(({ is }) => is(json))?.steps;
  if (json && stepsOfWords) {
    const added = checkedTokens(json, folder);
    const encodePiece = encoderOf(added, stepsOfWords(json, folder));
    const encode = (parts: Iterable<string>, maxTokens: number) =>
      encodeAll(encodePiece, wordCutter(added), parts, maxTokens);
    return { encode, frame: frameOf(json) };
  }
  const files = readTokenizerFolder(folder);
  const { encodeParts } = loadTokenizer({ kind: 'files', files });
  return { encode: encodeParts, frame: frameOf(files.tokenizerJson) };
}

function frameOf(json: TokenizerJson): Frame {
  for (const step of stepsOf(json, 'post_processor') ?? []) {
    switch (step.type) {
      case 'BertProcessing':
      case 'RobertaProcessing':
        return { before: [step.cls[1]], after: [step.sep[1]] };
      case 'TemplateProcessing': {
        const pieces = step.single.map((piece) =>
          'Sequence' in piece ? null : step.special_tokens[piece.SpecialToken.id]!.ids,
        );
        const at = pieces.indexOf(null);
        const ids = (from: number, to?: number) =>
          pieces.slice(from, to).flatMap((all) => all ?? []);
        return { before: ids(0, at), after: ids(at + 1) };
      }
    }
  }
  return { before: [], after: [] };
}
