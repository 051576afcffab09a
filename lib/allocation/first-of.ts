/** The index with the smallest key, of equal keys the smallest index, while the keys grow: a binary heap of indices. */
export class FirstOf {
  readonly #keys: Float64Array;
  readonly #heap: Int32Array;

  /** Reads `keys`, which the caller changes (`changed`); at least one. */
  constructor(keys: Float64Array) {
    this.#keys = keys;
    this.#heap = Int32Array.from(keys.keys());
    for (let place = (keys.length >> 1) - 1; place >= 0; place--) this.#sink(place);
  }

  get index(): number {
    return this.#heap[0]!;
  }

  /** After the key of `index` has grown. */
  changed(): void {
    this.#sink(0);
  }

  #sink(from: number): void {
    const heap = this.#heap;
    const moved = heap[from]!;
    let place = from;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && this.#before(heap[child + 1]!, heap[child]!)) child++;
      if (!this.#before(heap[child]!, moved)) break;
      heap[place] = heap[child]!;
      place = child;
    }
    heap[place] = moved;
  }

  #before(a: number, b: number): boolean {
    const keys = this.#keys;
    return keys[a]! < keys[b]! || (keys[a] === keys[b] && a < b);
  }
}
