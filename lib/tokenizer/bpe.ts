/** Byte-pair encoding of one word, as Rust's `tokenizers` does it. */
import { spellsBytes } from './byte-level';
import { type BpeModel, mergePairs } from './types';

/** Ids are below; a pair of them is one exact number. */
export const MOST_IDS = 2 ** 26;
/** Characters of a word are fewer; a rank before a position is one exact number. */
const MOST_POSITIONS = 2 ** 28;
const CACHED_WORDS = 20_000;
const CACHED_LENGTH = 64;

export class Bpe {
  private readonly ids: ReadonlyMap<string, number>;
  /** By pair: its rank. */
  private readonly ranks = new Map<number, number>();
  /** By rank: the id of the pair merged. */
  private readonly merged: Int32Array;
  private readonly bytes: (number | undefined)[];
  private readonly unknown: number | undefined;
  private readonly cache = new Map<string, readonly number[]>();

  /** @param model checked: every merge is of tokens, and makes one */
  constructor(private readonly model: BpeModel) {
    this.ids = new Map(Object.entries(model.vocab));
    const pairs = mergePairs(model.merges);
    this.merged = new Int32Array(pairs.length);
    for (const [rank, [left, right]] of pairs.entries()) {
      this.ranks.set(this.ids.get(left)! * MOST_IDS + this.ids.get(right)!, rank);
      this.merged[rank] = this.ids.get(left + right)!;
    }
    this.bytes = Array.from({ length: model.byte_fallback ? 256 : 0 }, (_, byte) =>
      this.ids.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`),
    );
    this.unknown = typeof model.unk_token === 'string' ? this.ids.get(model.unk_token) : undefined;
  }

  /** Ids of a word that is not empty. */
  encode(word: string): readonly number[] {
    const whole = this.model.ignore_merges ? this.ids.get(word) : undefined;
    if (whole !== undefined) return [whole];
    const known = this.cache.get(word);
    if (known) return known;
    const ids = this.merge(this.characters(word));
    if (word.length <= CACHED_LENGTH) {
      if (this.cache.size >= CACHED_WORDS) this.cache.clear();
      this.cache.set(word, ids);
    }
    return ids;
  }

  /** One id a character, its bytes' or the unknown token's where it is none. */
  private characters(word: string): number[] {
    const ids: number[] = [];
    let unknown = false;
    for (const character of word) {
      const id = this.ids.get(character);
      if (id === undefined) {
        const bytes = this.bytesOf(character);
        if (bytes) ids.push(...bytes);
        else if (this.unknown !== undefined) {
          // The unknown token is written when the next known one comes, behind bytes that came between.
          if (unknown && !this.model.fuse_unk) ids.push(this.unknown);
          unknown = true;
        }
        continue;
      }
      if (unknown) ids.push(this.unknown!);
      unknown = false;
      ids.push(id);
    }
    if (unknown) ids.push(this.unknown!);
    return ids;
  }

  private bytesOf(character: string): number[] | null {
    if (!this.model.byte_fallback) return null;
    const ids: number[] = [];
    for (const byte of Buffer.from(character)) {
      const id = this.bytes[byte];
      if (id === undefined) return null;
      ids.push(id);
    }
    return ids;
  }

  /** Merges the pair of lowest rank, the first of equals, until none is left. */
  private merge(ids: number[]): readonly number[] {
    const length = ids.length;
    if (length < 2) return ids;
    // A position's neighbours; a merged pair lives on at its left position.
    const before = Int32Array.from(ids, (_, at) => at - 1);
    const after = Int32Array.from(ids, (_, at) => (at + 1 < length ? at + 1 : -1));
    const gone = new Uint8Array(length);
    const rankAt = (at: number) => {
      const next = after[at]!;
      return next < 0 ? undefined : this.ranks.get(ids[at]! * MOST_IDS + ids[next]!);
    };
    const queue: number[] = [];
    const enqueue = (at: number) => {
      const rank = rankAt(at);
      if (rank !== undefined) push(queue, rank * MOST_POSITIONS + at);
    };
    for (let at = 0; at + 1 < length; at++) enqueue(at);
    while (queue.length > 0) {
      const top = pop(queue);
      const at = top % MOST_POSITIONS;
      const id = this.merged[Math.floor(top / MOST_POSITIONS)]!;
      if (gone[at]) continue;
      // Another merge may have changed the pair since.
      const rank = rankAt(at);
      if (rank === undefined || this.merged[rank] !== id) continue;
      const right = after[at]!;
      ids[at] = id;
      gone[right] = 1;
      after[at] = after[right]!;
      if (after[at] >= 0) before[after[at]] = at;
      if (before[at]! >= 0) enqueue(before[at]!);
      enqueue(at);
    }
    return ids.filter((_, at) => !gone[at]);
  }
}

/**
 * Whether merges make every token of a byte-level vocabulary, so that `ignore_merges` changes no id.
 * @param added tokens that no word is
 */
export function mergesMakeAll(model: BpeModel, added: ReadonlySet<string>): boolean {
  const bpe = new Bpe({ ...model, ignore_merges: false });
  return Object.entries(model.vocab).every(([token, id]) => {
    if (added.has(token) || !spellsBytes(token)) return true;
    const ids = bpe.encode(token);
    return ids.length === 1 && ids[0] === id;
  });
}

/** Binary heap, the least first. */
function push(heap: number[], value: number): void {
  let at = heap.length;
  heap.push(value);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (heap[parent]! <= value) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = value;
}

function pop(heap: number[]): number {
  const least = heap[0]!;
  const last = heap.pop()!;
  const length = heap.length;
  if (length === 0) return least;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= length) break;
    if (child + 1 < length && heap[child + 1]! < heap[child]!) child++;
    if (heap[child]! >= last) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
  return least;
}
