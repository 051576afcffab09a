/**
 * The axes of a network's tensors, one slot a position, and which slots can only go together.
 *
 * Every axis of known size has that many slots. What an op couples is said slot by slot: union-find over slots, not over axes,
 * so that offsets (Concat, Split, Slice), strides and factors (Reshape, groups of a convolution) need no algebra. A class of
 * slots is a unit: it goes as a whole or it stays. Where an axis is cut into factors (channels into heads × size of a head),
 * only one of them can shrink by itself; which one is decided when all that is known otherwise has been said.
 *
 * An axis whose size is a symbol times a number (batch × heads) repeats the number's slots.
 */

/** An axis: a number that `Axes` gave out. One without slots is negative: all that is joined to it is pinned. */
export type Axis = number;
/** An axis whose size is a symbol, or whose elements cannot be told apart. */
export const NONE: Axis = -1;

const UNMARKED = 0;
/** Slots of all axes together take some 45 bytes each while sites are found; axes beyond are without. */
const MOST_SLOTS = 1 << 25;
/** A small file can state axes of any size: so many it has in any case, and more of them with its own bytes. */
const SLOTS_OF_ANY = 1 << 22;
const BYTES_A_SLOT = 4;

interface Product {
  flat: Axis;
  /** Slowest first; the sizes' product is the size of `flat`. */
  factors: Axis[];
  /** The factor that shrinks where several could. */
  preferred: number;
}

/** Whole numbers in an array that grows. */
class Numbers {
  length = 0;
  private values = new Int32Array(1024);

  at(index: number): number {
    return this.values[index]!;
  }

  set(index: number, value: number): void {
    this.values[index] = value;
  }

  push(value: number): void {
    if (this.length === this.values.length) {
      const grown = new Int32Array(2 * this.length);
      grown.set(this.values);
      this.values = grown;
    }
    this.values[this.length++] = value;
  }
}

/** Why classes of slots are marked: a reason, of which the first one said stays. */
class Marks {
  /** The first one is of NONE, and of no mark. */
  readonly reasons = ['an axis of unknown size'];
  private readonly numbers = new Map<string, number>();

  numberOf(reason: string): number {
    let number = this.numbers.get(reason);
    if (number === undefined) {
      number = this.reasons.push(reason) - 1;
      this.numbers.set(reason, number);
    }
    return number;
  }
}

export class Axes {
  /** Where each axis' slots begin, and the end of the last. */
  private readonly starts = new Numbers();
  private readonly parents = new Numbers();
  private readonly marks = new Marks();
  /** Of a root: the number of the reason why the class stays. */
  private readonly pinned = new Numbers();
  /** Of a root: the number of the reason why the others' values change when the class goes. */
  private readonly mixed = new Numbers();
  private products: Product[] = [];
  /** Axes whose size is their number of slots times a symbol. */
  private readonly repeated = new Set<Axis>();

  private readonly most: number;

  /** Of a file of so many bytes. */
  constructor(bytes: number) {
    this.most = Math.min(MOST_SLOTS, SLOTS_OF_ANY + Math.floor(bytes / BYTES_A_SLOT));
    this.starts.push(0);
  }

  get count(): number {
    return this.starts.length - 1;
  }

  get slots(): number {
    return this.parents.length;
  }

  add(size: number): Axis {
    const start = this.slots;
    if (!(size <= this.most - start)) return NONE;
    for (let i = 0; i < size; i++) {
      this.parents.push(start + i);
      this.pinned.push(UNMARKED);
      this.mixed.push(UNMARKED);
    }
    this.starts.push(this.slots);
    const axis = this.count - 1;
    if (size === 1) this.pin(axis, 'an axis of one');
    return axis;
  }

  /** An axis of `size` slots, over and over: its size is that times a symbol. */
  addRepeated(size: number): Axis {
    const axis = this.add(size);
    if (axis >= 0) this.repeated.add(axis);
    return axis;
  }

  /** An axis without slots that says why. */
  fixed(reason: string): Axis {
    return -1 - this.marks.numberOf(reason);
  }

  size(axis: Axis): number {
    if (axis < 0) return 0;
    return this.starts.at(axis + 1) - this.starts.at(axis);
  }

  /** The class of an axis' slot: the number of one slot in it, which changes while classes are still joined. */
  unit(axis: Axis, index: number): number {
    return this.find(this.starts.at(axis) + index);
  }

  /** Slots of two axes of one size, one by one. */
  join(a: Axis, b: Axis): void {
    this.joinRun(a, 0, b, 0, Math.max(this.size(a), this.size(b)));
  }

  /**
   * `length` slots of a from `fromA` on with those of b from `fromB` on. An axis without slots pins the other; so does a run
   * that an axis does not have, and a part of one that repeats.
   */
  joinRun(a: Axis, fromA: number, b: Axis, fromB: number, length: number): void {
    if (this.has(a, fromA, length) && this.has(b, fromB, length)) {
      const [startA, startB] = [this.starts.at(a) + fromA, this.starts.at(b) + fromB];
      for (let i = 0; i < length; i++) this.union(startA + i, startB + i);
    } else this.pinAll([a, b], 'sizes that do not match');
  }

  /** The axis is the product of the factors, the slowest first, of which `preferred` shrinks where several could. */
  factor(flat: Axis, factors: Axis[], preferred = 0): void {
    const isSound = flat >= 0 && factors.every((axis) => axis >= 0);
    // What repeats can only be the slowest.
    if (factors.some((axis, i) => i > 0 && this.repeated.has(axis)))
      this.pinAll([flat, ...factors], 'a factor of unknown size');
    else if (isSound && this.sizes(factors) === this.size(flat)) {
      this.products.push({ flat, factors, preferred });
    } else this.pinAll([flat, ...factors], 'sizes that do not match');
  }

  /** The classes of those slots stay. */
  pin(axis: Axis, reason: string, from = 0, length = this.size(axis) - from): void {
    this.mark(this.pinned, axis, reason, from, length);
  }

  /** Something is computed across the axis: without a class the others' values change. */
  mix(axis: Axis, reason: string): void {
    this.mark(this.mixed, axis, reason, 0, this.size(axis));
  }

  /** Why the class stays; undefined: it can go. */
  pinnedBy(unit: number): string | undefined {
    return this.reason(this.pinned.at(unit));
  }

  /** Why no slot of the axis can go, by what has been said so far; undefined: one can. */
  heldBy(axis: Axis): string | undefined {
    if (axis < 0) return this.marks.reasons[-1 - axis];
    return this.isPinned(axis) ? this.pinnedBy(this.unit(axis, 0)) : undefined;
  }

  mixedBy(unit: number): string | undefined {
    return this.reason(this.mixed.at(unit));
  }

  /** Decides the products: to be called once, when all else has been said. */
  decide(): void {
    let open = this.products;
    this.products = [];
    // Back and forth, so that what is pinned at one end of a chain is known at the other.
    for (let before = -1; open.length !== before; ) {
      before = open.length;
      open = open.filter((product) => !this.isSettled(product)).reverse();
    }
    if (open.length > 0) this.force(open);
  }

  /** An axis without slots says why the others stay. */
  private pinAll(axes: Axis[], otherwise: string): void {
    const fixed = axes.find((axis) => axis < 0);
    const reason = fixed === undefined ? otherwise : this.marks.reasons[-1 - fixed]!;
    for (const axis of axes) this.pin(axis, reason);
  }

  private has(axis: Axis, from: number, length: number): boolean {
    if (this.repeated.has(axis) && (from !== 0 || length !== this.size(axis))) return false;
    return axis >= 0 && from >= 0 && length >= 0 && from + length <= this.size(axis);
  }

  /** Where at most one factor can still shrink there is nothing to choose. */
  private isSettled(product: Product): boolean {
    const free = this.freeFactors(product);
    if (free.length > 1) return false;
    this.settle(product, free[0]);
    return true;
  }

  /** The preferred factor of each, in the order of the graph, where it can still shrink. */
  private force(open: Product[]): void {
    const inOrder = open[0]!.flat <= open[open.length - 1]!.flat ? open : open.reverse();
    for (const product of inOrder) {
      const free = this.freeFactors(product);
      const wanted = product.factors[product.preferred]!;
      this.settle(product, free.includes(wanted) ? wanted : free[0]);
    }
  }

  private freeFactors({ flat, factors }: Product): Axis[] {
    return this.isPinned(flat) ? [] : factors.filter((factor) => !this.isPinned(factor));
  }

  private settle({ flat, factors }: Product, free: Axis | undefined): void {
    for (const factor of factors) {
      if (factor !== free) this.pin(factor, 'one factor of an axis of which another one shrinks');
    }
    if (free === undefined) this.pin(flat, 'an axis of which no factor can shrink');
    else this.joinFactor(flat, factors, free);
  }

  private joinFactor(flat: Axis, factors: Axis[], free: Axis): void {
    const at = factors.indexOf(free);
    const inner = this.sizes(factors.slice(at + 1));
    const size = this.size(free);
    const outer = this.sizes(factors.slice(0, at));
    for (let o = 0; o < outer; o++) {
      for (let j = 0; j < size; j++) {
        const run = (o * size + j) * inner;
        for (let i = 0; i < inner; i++) {
          this.union(this.starts.at(free) + j, this.starts.at(flat) + run + i);
        }
      }
    }
  }

  private sizes(axes: Axis[]): number {
    return axes.reduce((product, axis) => product * this.size(axis), 1);
  }

  /** Whether no slot of the axis can go. */
  private isPinned(axis: Axis): boolean {
    for (let i = 0; i < this.size(axis); i++) {
      if (this.pinned.at(this.unit(axis, i)) === UNMARKED) return false;
    }
    return true;
  }

  private mark(marks: Numbers, axis: Axis, reason: string, from: number, length: number): void {
    if (axis < 0) return;
    const number = this.marks.numberOf(reason);
    for (let i = from; i < from + length; i++) {
      const root = this.unit(axis, i);
      if (marks.at(root) === UNMARKED) marks.set(root, number);
    }
  }

  private reason(number: number): string | undefined {
    return number === UNMARKED ? undefined : this.marks.reasons[number];
  }

  private find(slot: number): number {
    let at = slot;
    for (let parent = this.parents.at(at); parent !== at; parent = this.parents.at(at)) {
      const grandparent = this.parents.at(parent);
      this.parents.set(at, grandparent);
      at = grandparent;
    }
    return at;
  }

  private union(a: number, b: number): void {
    const [low, high] = [this.find(a), this.find(b)].sort((x, y) => x - y) as [number, number];
    if (low === high) return;
    this.parents.set(high, low);
    for (const marks of [this.pinned, this.mixed]) {
      if (marks.at(low) === UNMARKED) marks.set(low, marks.at(high));
    }
  }
}
