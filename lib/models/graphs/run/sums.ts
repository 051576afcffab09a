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
  reader: Reader;
  /** `[out, columns]`. */
  weight: Float32Array;
  /** Of rows less `origin`. */
  statistics: Statistics;
  /** About the means of the columns, where they are taken out: a difference of large sums would be none. */
  origin: Float32Array | null;
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

  /** `weightOf`: `[out, columns]` as they are now. */
  static of(
    store: Store,
    units: number,
    lambda: number,
    readers: readonly Reader[],
    weightOf: (reader: Reader) => Float32Array,
  ): SiteSums {
    const summed = readers.map((reader) => ({
      reader,
      weight: weightOf(reader),
      statistics: store.statistics(columnsOf(reader), { gram: true }),
      origin: null,
    }));
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
    return this.joined(this.summed, scales);
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
    return this.summed.map(({ reader, weight, statistics, origin }, r) => {
      const { out } = reader;
      const columns = columnsOf(reader);
      const fitted = new Float32Array(out * columns);
      for (let o = 0; o < out; o++) {
        for (let j = 0; j < columns; j++) {
          const at = keptAt[places[r]![j]!]!;
          if (at >= 0) fitted[o * columns + j] = weights[(firstOut + o) * kept.length + at]!;
        }
      }
      firstOut += out;
      const means = origin && meansOf(statistics).map((mean, j) => mean + origin[j]!);
      const shift = means && shiftOf(weight, fitted, means, out);
      return { reader, weight: fitted, shift };
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return disposeAll(this.summed.map(({ statistics }) => statistics));
  }

  /** One over the energy of what a reader gives; 1 where it is the only one, or gives nothing. */
  private async scaleOf(one: Summed): Promise<number> {
    if (this.summed.length === 1) return 1;
    using solver = await this.joined([one], [1]);
    return solver.targetNormSq > 0 ? 1 / solver.targetNormSq : 1;
  }

  private async joined(summed: readonly Summed[], scales: readonly number[]): Promise<Solver> {
    const width = this.widthOf(summed);
    const all = this.units * width;
    const out = summed.reduce((total, { reader }) => total + reader.out, 0);
    const gram = new Float64Array(all * all);
    const weight = new Float32Array(out * all);
    const places = this.placesOf(summed);
    let firstOut = 0;
    summed.forEach(({ reader, statistics, weight: own }, r) => {
      const to = places[r]!;
      const columns = columnsOf(reader);
      const sums = reader.bias ? meansOf(statistics) : null;
      const { tokens } = statistics.read();
      for (let i = 0; i < columns; i++) {
        const row = statistics.gramRows(i, 1);
        for (let j = 0; j < columns; j++) {
          const mean = sums ? tokens * sums[i]! * sums[j]! : 0;
          gram[to[i]! * all + to[j]!] = scales[r]! * (row[j]! - mean);
        }
      }
      for (let o = 0; o < reader.out; o++) {
        for (let j = 0; j < columns; j++) {
          weight[(firstOut + o) * all + to[j]!] = own[o * columns + j]!;
        }
      }
      firstOut += reader.out;
    });
    // Inputs that never change say nothing: the weights alone decide.
    if (gram.every((value) => value === 0)) for (let i = 0; i < all; i++) gram[i * all + i] = 1;
    const tokens = Math.max(...summed.map(({ statistics }) => statistics.read().tokens));
    const sums = new Float64Array(all);
    const { lambda } = this;
    return this.store.solver({
      in: all,
      out,
      tokens,
      gram,
      sums,
      weight,
      lambda,
      groupSize: width,
    });
  }

  /** Columns of a unit in all of them. */
  private widthOf(summed: readonly Summed[]): number {
    return summed.reduce((width, { reader }) => width + columnsOf(reader) / this.units, 0);
  }

  /** Of each reader where its columns are among all: those of a unit together. */
  private placesOf(summed: readonly Summed[]): Int32Array[] {
    const width = this.widthOf(summed);
    let first = 0;
    return summed.map(({ reader }) => {
      const each = columnsOf(reader) / this.units;
      const start = first;
      first += each;
      return Int32Array.from(
        { length: columnsOf(reader) },
        (_, j) => Math.floor(j / each) * width + start + (j % each),
      );
    });
  }
}

function meansIn(rows: Float32Array, columns: number): Float32Array {
  const means = new Float64Array(columns);
  rows.forEach((value, i) => {
    means[i % columns]! += value;
  });
  return Float32Array.from(means, (sum) => (sum * columns) / rows.length);
}

function subtract(rows: Float32Array, origin: Float32Array): void {
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
