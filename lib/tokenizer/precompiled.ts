/** SentencePiece's table of replacements as a normalizer of tokenizer.json, as Rust's `spm_precompiled` runs it. */
import { StruPruneError } from '../errors';

/** Bytes of one replacement, at most: those of the tables in use have 33. */
const LONGEST = 256;
/** UTF-8 bytes from which Rust replaces a cluster character by character. */
const LONG_CLUSTER = 6;

/**
 * `[size of the trie, u32][units of a double array, u32][texts, UTF-8, each behind it a 0]`, little-endian, in base64. A value of the
 * trie is where a text begins.
 * @throws StruPruneError ERR_TOKENIZER for a damaged table, at once or where a text meets the damage
 */
export function precompiled(charsmap: string): (text: string) => string {
  const table = new Table(Buffer.from(charsmap, 'base64'));
  const known = new Map<string, string | null>();
  const replaced = (chunk: string): string | null => {
    let found = known.get(chunk);
    if (found === undefined) {
      found = table.replacement(chunk);
      known.set(chunk, found);
    }
    return found;
  };
  const clusters = new Intl.Segmenter('en', { granularity: 'grapheme' });
  return (text) => {
    let made = '';
    for (const { segment } of clusters.segment(text)) {
      const short = Buffer.byteLength(segment) < LONG_CLUSTER;
      const whole = short ? replaced(segment) : null;
      if (whole !== null) made += whole;
      else for (const character of segment) made += replaced(character) ?? character;
    }
    return made;
  };
}

class Table {
  readonly #units: Uint32Array;
  readonly #texts: Buffer;

  constructor(bytes: Buffer) {
    const size = bytes.length >= 4 ? bytes.readUInt32LE(0) : 0;
    if (size === 0 || size % 4 !== 0 || 4 + size > bytes.length) throw damaged();
    this.#units = Uint32Array.from({ length: size / 4 }, (_, i) => bytes.readUInt32LE(4 + 4 * i));
    this.#texts = bytes.subarray(4 + size);
    let from = 0;
    for (let end = this.#texts.indexOf(0); end >= 0; end = this.#texts.indexOf(0, from)) {
      if (end - from > LONGEST) throw damaged();
      from = end + 1;
    }
    if (this.#texts.length - from > LONGEST) throw damaged();
  }

  /** Of the shortest beginning of the chunk that the trie has; null: it has none. */
  replacement(chunk: string): string | null {
    let at = offset(this.#unit(0));
    for (const byte of Buffer.from(chunk)) {
      if (byte === 0) return null;
      at ^= byte;
      const unit = this.#unit(at);
      if (label(unit) !== byte) return null;
      at ^= offset(unit);
      if (hasLeaf(unit)) return this.#text(value(this.#unit(at)));
    }
    return null;
  }

  #unit(at: number): number {
    const unit = this.#units[at];
    if (unit === undefined) throw damaged();
    return unit;
  }

  #text(from: number): string {
    if (from > this.#texts.length) throw damaged();
    const end = this.#texts.indexOf(0, from);
    const bytes = this.#texts.subarray(from, end < 0 ? undefined : end);
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      throw damaged();
    }
  }
}

// The bits of a unit, as darts-clone has them.
const hasLeaf = (unit: number) => ((unit >>> 8) & 1) === 1;
const value = (unit: number) => unit & 0x7fffffff;
const label = (unit: number) => (unit & 0x800000ff) >>> 0;
const offset = (unit: number) => (unit >>> 10) << ((unit & 0x200) >>> 6);

function damaged(): StruPruneError {
  return new StruPruneError(
    'ERR_TOKENIZER',
    "the normalizer's table of replacements in tokenizer.json is damaged",
    'get the file again',
  );
}
