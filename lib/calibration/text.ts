import { basename } from 'node:path';
import { StruPruneError } from '../errors';
import type { ModelSource } from '../model/architecture';
import { counted } from '../numbers';
import { inThread, type TokenizeOptions, type TokenizerSource, tokenize } from '../tokenizer';
import { windows } from './corpus';

/** Where a model's own tokenizer lies. */
export function tokenizerOf(source: ModelSource): TokenizerSource {
  return source.format === 'hf'
    ? { kind: 'folder', folder: source.path }
    : { kind: 'gguf', file: source.files[0]! };
}

/** @throws StruPruneError ERR_NOT_FOUND, ERR_TOKENIZER where the model has no tokenizer that can be used */
export async function requireTokenizer(source: ModelSource, signal?: AbortSignal): Promise<void> {
  await inThread('texts', { source: tokenizerOf(source), ids: [] }, signal);
}

/** A file by its path, texts, or token ids. */
export type Text = string | string[] | number[] | Int32Array;

/** Undefined where it is no file. */
export function pathOf(text: Text | undefined): string | undefined {
  return typeof text === 'string' ? text : undefined;
}

/** For people. */
export function nameOf(text: Text): string {
  if (typeof text === 'string') return basename(text);
  return counted(text.length, isIds(text) ? 'token id' : 'text');
}

/** Whole windows of the first tokens are taken, of all of the text where no number is given. */
export interface TextOptions extends TokenizeOptions {
  window: number;
}

/**
 * The first windows of a text as token ids, `[count · window]`.
 * Throws ERR_NOT_FOUND, ERR_TEXT (empty, too short for one window, not UTF-8, not to be cut), ERR_TOKENIZER.
 */
export async function readWindows(
  source: ModelSource,
  text: Text,
  { window, ...options }: TextOptions,
): Promise<Int32Array> {
  const ids = isIds(text)
    ? checked(Int32Array.from(text), source)
    : await tokenize(tokenizerOf(source), text, options);
  return windows(ids, window, options.maxTokens).ids;
}

export function isIds(text: Text): text is number[] | Int32Array {
  return typeof text !== 'string' && typeof text[0] !== 'string';
}

/** @throws StruPruneError ERR_TEXT */
function checked(ids: Int32Array, { architecture }: ModelSource): Int32Array {
  const other = ids.find((id) => id < 0 || id >= architecture.vocab);
  if (other === undefined) return ids;
  throw new StruPruneError(
    'ERR_TEXT',
    `${other} is no token id of a vocabulary of ${architecture.vocab}`,
    'make the ids with the tokenizer of the model',
  );
}
