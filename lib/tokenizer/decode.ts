/** Decoders of tokenizer.json: tokens to a text. */
import { isUtf8 } from 'node:buffer';
import { spelledBytes } from './byte-level';
import { replacer, requireBounded } from './replace';
import { type DecoderStep, stepsOf } from './schema';
import type { TokenizerJson } from './types';

type Chain = (tokens: string[]) => string[];

/**
 * The steps as one function; without any the tokens stand with spaces between them.
 * @throws StruPruneError ERR_UNSUPPORTED for steps that would make a text many times as long
 */
export function decoderOf(json: TokenizerJson): (tokens: string[]) => string {
  const steps = stepsOf(json, 'decoder');
  if (steps === null) return (tokens) => tokens.join(' ');
  requireBounded(steps);
  const all = steps.map(one);
  return (tokens) => all.reduce((chain, step) => step(chain), tokens).join('');
}

function one(step: DecoderStep): Chain {
  switch (step.type) {
    case 'ByteLevel':
      return (tokens) => [decoded(Buffer.concat(tokens.map(spelledBytes)))];
    case 'ByteFallback':
      return byteFallback;
    case 'Fuse':
      return (tokens) => [tokens.join('')];
    case 'Metaspace': {
      const first = step.prepend_scheme === 'never' ? ' ' : '';
      return (tokens) =>
        tokens.map((token, i) => token.replaceAll(step.replacement, i === 0 ? first : ' '));
    }
    case 'Replace': {
      const replace = replacer(step);
      return (tokens) => tokens.map(replace);
    }
    case 'Strip':
      return (tokens) => tokens.map((token) => stripped(token, step.content, step.start));
  }
}

const decoded = (bytes: Uint8Array) => new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);

/** Rust's `u8::from_str_radix` takes a sign too. */
const BYTE_TOKEN = /^<0x([0-9A-Fa-f]{2}|\+[0-9A-Fa-f])>$/;

/** Runs of byte tokens as their text; of a run that is no UTF-8 every byte is a replacement character. */
function byteFallback(tokens: string[]): string[] {
  const texts: string[] = [];
  let bytes: number[] = [];
  const flush = () => {
    if (bytes.length === 0) return;
    const run = Uint8Array.from(bytes);
    texts.push(isUtf8(run) ? decoded(run) : '\ufffd'.repeat(run.length));
    bytes = [];
  };
  for (const token of tokens) {
    const byte = BYTE_TOKEN.exec(token);
    if (byte) {
      bytes.push(Number.parseInt(byte[1]!, 16));
      continue;
    }
    flush();
    texts.push(token);
  }
  flush();
  return texts;
}

/** Without up to `most` of the character at its front. */
function stripped(token: string, character: string, most: number): string {
  let at = 0;
  for (let i = 0; i < most && token.startsWith(character, at); i++) at += character.length;
  return token.slice(at);
}
