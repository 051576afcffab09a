/**
 * A site as one problem of least squares. Rows of each reader are summed by themselves; all readers together are one map whose
 * Gram matrix has a block a reader, so that a unit's columns in all of them go at once and the sum of the readers' errors is
 * what is minimised. Each error counts as a share of what the reader gives.
 */
import { disposeAll } from '../../../engine/owned';
import type { Refit } from '../../../engine/refit';
import type { Solver } from '../../../engine/solver';
import type { Statistics } from '../../../engine/statistics';
import type { Store } from '../../../engine/store';
import { columnsOf, type Reader } from './readers';
import { rowsOf } from './rows';
import type { Activations } from './runtime';

/** A reader with its weights and the sums of its rows. */
interface Summed {
  /** Its positions are those of the site, then others that it reads beside them. */
  reader: Reader;
  /** Columns of the site, the first ones. */
  own: number;
  /** `[out, columns]`. */
  weight: Float32Array;
  /** Of rows less `origin`. */
  statistics: Statistics;
  /** About the means of the columns, where they are taken out: a difference of large sums would be none. */
  origin: Float32Array | null;
  /** `[own, others]` by which the other columns give what those of the site do; null where there are none. */
  through: Float32Array | null;
}

/** The problem of one reader: `[out, columns]` its weight, `[columns, columns]` its sums, of what its inputs still are. */
export interface ReaderSums {
  weight: Float32Array;
  gram: Float64Array;
  tokens: number;
  lambda: number;
}

/** What a reader becomes. */
export interface Refitted {
  reader: Reader;
  /** `[out, columns]`, zero where a column has gone. */
  weight: Float32Array;
  /** `[out]` what its bias gains; null: nothing. */
  shift: Float64Array | null;
}

export class SiteSums implements AsyncDisposable {
  private constructor(
    private readonly store: Store,
    private readonly units: number,
    private readonly lambda: number,
    private readonly summed: readonly Summed[],
  ) {}

  /**
   * `weightOf`: `[out, columns]` as they are now. `besideOf`: other positions that a reader reads and that have not gone; they
   * stay, and are refitted with the rest.
   */
  static of(
    store: Store,
    units: number,
    lambda: number,
    readers: readonly Reader[],
    weightOf: (reader: Reader) => Float32Array,
    besideOf: (reader: Reader) => Int32Array,
  ): SiteSums {
    const summed = readers.map((each) => {
      const reader = { ...each, positions: Int32Array.of(...each.positions, ...besideOf(each)) };
      return {
        ...{ reader, own: columnsOf(each), weight: weightOf(reader) },
        statistics: store.statistics(columnsOf(reader), { gram: true }),
        ...{ origin: null, through: null },
      };
    });
    return new SiteSums(store, units, lambda, summed);
  }

  /** Some of the values that are read, of a batch. */
  async add(activations: Activations): Promise<void> {
    for (const one of this.summed) {
      const { reader, statistics } = one;
      for (const use of reader.uses) {
        const activation = activations[use.activation];
        if (!activation) continue;
        for (const rows of rowsOf(activation, reader, use)) {
          if (reader.bias) {
            one.origin ??= meansIn(rows, columnsOf(reader));
            subtract(rows, one.origin);
          }
          await statistics.add(rows, 'calibrating');
        }
      }
    }
  }

  /** Of all readers. The means are taken out where a bias takes them up. */
  async solver(): Promise<Solver> {
    const scales: number[] = [];
    for (const one of this.summed) scales.push(await this.scaleOf(one));
    const grams: Float64Array[] = [];
    for (const one of this.summed) grams.push(await this.withoutOthers(one));
    return this.joined(this.summed, grams, scales);
  }

  refitted(refit: Refit): Refitted[] {
    const { kept } = refit;
    const weights = refit.weight();
    const width = this.widthOf(this.summed);
    const places = this.placesOf(this.summed);
    const keptAt = new Int32Array(this.units * width).fill(-1);
    kept.forEach((column, i) => {
      keptAt[column] = i;
    });
    let firstOut = 0;
    return this.summed.map((one, r) => {
      const { reader, own, weight } = one;
      const { out } = reader;
      const columns = columnsOf(reader);
      const fitted = weight.slice();
      for (let o = 0; o < out; o++) {
        for (let j = 0; j < own; j++) {
          const at = keptAt[places[r]![j]!]!;
          const value = at >= 0 ? weights[(firstOut + o) * kept.length + at]! : 0;
          fitted[o * columns + j] = value;
        }
      }
      makeUp(one, fitted);
      firstOut += out;
      return become(one, fitted);
    });
  }

  /** Of the only reader, which has no columns of units. */
  alone(): ReaderSums {
    const [one] = this.summed as [Summed];
    const gram = orIdentity(gramOf(one, columnsOf(one.reader)));
    const { tokens } = one.statistics.read();
    return { weight: one.weight, gram, tokens, lambda: this.lambda };
  }

  /** The same with that weight. */
  replaced(weight: Float32Array): Refitted[] {
    return [become(this.summed[0]!, weight)];
  }

  [Symbol.asyncDispose](): Promise<void> {
    return disposeAll(this.summed.map(({ statistics }) => statistics));
  }

  /** One over the energy of what a reader gives; 1 where it is the only one, or gives nothing. */
  private async scaleOf(one: Summed): Promise<number> {
    if (this.summed.length === 1) return 1;
    using solver = await this.joined([one], [gramOf(one, one.own)], [1]);
    return solver.targetNormSq > 0 ? 1 / solver.targetNormSq : 1;
  }

  /**
   * The Gram matrix of a reader's own columns, as far as the others do not give it: what is lost of them is made up for there. The
   * ridge on the others is that of every refit.
   */
  private async withoutOthers(one: Summed): Promise<Float64Array> {
    const { own } = one;
    const all = columnsOf(one.reader);
    if (own === all) return gramOf(one, own);
    const gram = gramOf(one, all);
    if (gram.every((value) => value === 0)) return gramOf(one, own);
    const weight = new Float32Array(own * all);
    for (let j = 0; j < own; j++) weight[j * all + j] = 1;
    const { tokens } = one.statistics.read();
    const sums = new Float64Array(all);
    using solver = await this.store.solver({
      ...{ in: all, out: own, tokens, gram, sums, weight },
      ...{ lambda: this.lambda, groupSize: 1 },
    });
    using refit = await solver.refit(Uint8Array.from({ length: all }, (_, j) => Number(j >= own)));
    one.through = refit.weight();
    return less(gram, one.through, own, all);
  }

  private async joined(
    summed: readonly Summed[],
    grams: readonly Float64Array[],
    scales: readonly number[],
  ): Promise<Solver> {
    const width = this.widthOf(summed);
    const all = this.units * width;
    const out = summed.reduce((total, { reader }) => total + reader.out, 0);
    const gram = new Float64Array(all * all);
    const weight = new Float32Array(out * all);
    const places = this.placesOf(summed);
    let firstOut = 0;
    summed.forEach(({ reader, own, weight: weights }, r) => {
      const to = places[r]!;
      const columns = columnsOf(reader);
      for (let i = 0; i < own; i++) {
        for (let j = 0; j < own; j++) {
          gram[to[i]! * all + to[j]!] = scales[r]! * grams[r]![i * own + j]!;
        }
      }
      for (let o = 0; o < reader.out; o++) {
        for (let j = 0; j < own; j++) {
          weight[(firstOut + o) * all + to[j]!] = weights[o * columns + j]!;
        }
      }
      firstOut += reader.out;
    });
    const tokens = Math.max(...summed.map(({ statistics }) => statistics.read().tokens));
    const sums = new Float64Array(all);
    const { lambda } = this;
    return this.store.solver({
      in: all,
      out,
      tokens,
      gram: orIdentity(gram),
      sums,
      weight,
      lambda,
      groupSize: width,
    });
  }

  /** Columns of a unit in all of them. */
  private widthOf(summed: readonly Summed[]): number {
    return summed.reduce((width, { own }) => width + own / this.units, 0);
  }

  /** Of each reader where its columns are among all: those of a unit together. */
  private placesOf(summed: readonly Summed[]): Int32Array[] {
    const width = this.widthOf(summed);
    let first = 0;
    return summed.map(({ own }) => {
      const each = own / this.units;
      const start = first;
      first += each;
      return Int32Array.from(
        { length: own },
        (_, j) => Math.floor(j / each) * width + start + (j % each),
      );
    });
  }
}

/** Its bias takes up what the columns gave on average and do not give any more. */
function become({ reader, weight, statistics, origin }: Summed, fitted: Float32Array): Refitted {
  const means = origin && meansOf(statistics).map((mean, j) => mean + origin[j]!);
  const shift = means && shiftOf(weight, fitted, means, reader.out);
  return { reader, weight: fitted, shift };
}

/** Inputs that never change say nothing: the weights alone decide. */
function orIdentity(gram: Float64Array): Float64Array {
  const n = Math.sqrt(gram.length);
  return gram.every((value) => value === 0) ? gram.map((_, i) => Number(i % (n + 1) === 0)) : gram;
}

/** `[count, count]` of a reader's first columns; about their means where a bias takes those up. */
function gramOf({ reader, statistics }: Summed, count: number): Float64Array {
  const gram = new Float64Array(count * count);
  const means = reader.bias ? meansOf(statistics) : null;
  const { tokens } = statistics.read();
  for (let i = 0; i < count; i++) {
    const row = statistics.gramRows(i, 1);
    for (let j = 0; j < count; j++) {
      gram[i * count + j] = row[j]! - (means ? tokens * means[i]! * means[j]! : 0);
    }
  }
  return gram;
}

/** Of the own columns what the others do not give: G_uu − B G_cu. */
function less(gram: Float64Array, through: Float32Array, own: number, all: number): Float64Array {
  const others = all - own;
  const left = new Float64Array(own * own);
  for (let i = 0; i < own; i++) {
    for (let j = 0; j <= i; j++) {
      let given = 0;
      for (let k = 0; k < others; k++) {
        given += through[i * others + k]! * gram[j * all + own + k]!;
      }
      const rest = gram[i * all + j]! - given;
      left[i * own + j] = rest;
      left[j * own + i] = rest;
    }
  }
  return left;
}

/** The other columns take over what they can of what the own ones do not give any more. */
function makeUp({ reader, own, weight, through }: Summed, fitted: Float32Array): void {
  if (!through) return;
  const columns = columnsOf(reader);
  const others = columns - own;
  for (let o = 0; o < reader.out; o++) {
    for (let j = 0; j < own; j++) {
      const lost = weight[o * columns + j]! - fitted[o * columns + j]!;
      if (lost === 0) continue;
      for (let k = 0; k < others; k++) {
        fitted[o * columns + own + k]! += lost * through[j * others + k]!;
      }
    }
  }
}

/** Of each column. */
export function meansIn(rows: Float32Array, columns: number): Float32Array {
  const means = new Float64Array(columns);
  rows.forEach((value, i) => {
    means[i % columns]! += value;
  });
  return Float32Array.from(means, (sum) => (sum * columns) / rows.length);
}

/** From every row, in place. */
export function subtract(rows: Float32Array, origin: Float32Array): void {
  for (let i = 0; i < rows.length; i++) rows[i]! -= origin[i % origin.length]!;
}

function meansOf(statistics: Statistics): Float64Array {
  const { sums, tokens } = statistics.read();
  return sums.map((sum) => sum / tokens);
}

/** `[out]` what the columns gave on average and do not give any more. */
function shiftOf(
  before: Float32Array,
  after: Float32Array,
  means: Float64Array,
  out: number,
): Float64Array {
  const shift = new Float64Array(out);
  const columns = means.length;
  for (let o = 0; o < out; o++) {
    for (let j = 0; j < columns; j++) {
      shift[o]! += (before[o * columns + j]! - after[o * columns + j]!) * means[j]!;
    }
  }
  return shift;
}
