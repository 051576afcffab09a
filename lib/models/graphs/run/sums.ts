/**
 * A site as one problem of least squares. Rows of each reader are summed by themselves; all readers together are one map whose
 * Gram matrix has a block a reader, so that a unit's columns in all of them go at once and the sum of the readers' errors is
 * what is minimised. Each error counts as a share of what the reader gives.
 *
 * With feedback, rows are `[X, X_dense - X]`: what the inputs have lost so far stands beside them, and the target is by a share of
 * that nearer to what the dense network gives (docs/method.md, section 1; docs/decisions/0061).
 */
import { disposeAll } from '../../../engine/owned';
import type { Refit } from '../../../engine/refit';
import { Solver } from '../../../engine/solver';
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
  /** Of rows less `origin`; with feedback of twice as many columns. */
  statistics: Statistics;
  /** About the means of the columns, where they are taken out: a difference of large sums would be none. */
  origin: Float32Array | null;
  /** `[own, others]` by which the other columns give what those of the site do; null where there are none. */
  through: Float32Array | null;
  /** `[out, others]` what feedback adds to the other columns; null where there is none of either. */
  given: Float32Array | null;
}

/** R = β (X_dense - X) Wᵀ, which the target adds to what a reader gives: RᵀX `[out, columns]` and ‖R‖². */
interface Residual {
  cross: Float64Array;
  normSq: number;
}

/** A reader's part of the joined problem. */
interface Problem {
  gram: Float64Array;
  residual: Residual | null;
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
    private readonly beta: number,
    private readonly summed: readonly Summed[],
  ) {}

  /**
   * `weightOf`: `[out, columns]` as they are now. `besideOf`: other positions that a reader reads and that have not gone; they
   * stay, and are refitted with the rest. `beta`: share of what the inputs have lost that the target has again.
   */
  static of(
    store: Store,
    units: number,
    { lambda, beta = 0 }: { lambda: number; beta?: number },
    readers: readonly Reader[],
    weightOf: (reader: Reader) => Float32Array,
    besideOf: (reader: Reader) => Int32Array,
  ): SiteSums {
    const summed = readers.map((each) => {
      const reader = { ...each, positions: Int32Array.of(...each.positions, ...besideOf(each)) };
      return {
        ...{ reader, own: columnsOf(each), weight: weightOf(reader) },
        statistics: store.statistics((beta ? 2 : 1) * columnsOf(reader), { gram: true }),
        ...{ origin: null, through: null, given: null },
      };
    });
    return new SiteSums(store, units, lambda, beta, summed);
  }

  /** Some of the values that are read, of a batch; with feedback those of the dense network too. */
  async add(activations: Activations, dense: Activations | null = null): Promise<void> {
    for (const one of this.summed) {
      const { reader, statistics } = one;
      for (const use of reader.uses) {
        const activation = activations[use.activation];
        if (!activation) continue;
        const before = dense && rowsOf(dense[use.activation]!, reader, use);
        for (const now of rowsOf(activation, reader, use)) {
          const rows = before ? withLost(now, before.next().value!, columnsOf(reader)) : now;
          if (reader.bias) {
            one.origin ??= meansIn(rows, statistics.dim);
            subtract(rows, one.origin);
          }
          await statistics.add(rows, 'calibrating');
        }
      }
    }
  }

  /** Of all readers. The means are taken out where a bias takes them up. */
  async solver(): Promise<Solver> {
    const [only] = this.summed as [Summed];
    if (this.summed.length === 1 && this.isPlain(only)) return this.solverOf(only);
    const scales: number[] = [];
    for (const one of this.summed) scales.push(await this.scaleOf(one));
    const problems: Problem[] = [];
    for (const one of this.summed) problems.push(await this.withoutOthers(one));
    return this.joined(this.summed, problems, scales);
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
      // Columns of others stay, but for what makeUp gives them.
      const fitted = own === columns ? new Float32Array(weight.length) : weight.slice();
      for (let o = 0; o < out; o++) {
        for (let j = 0; j < own; j++) {
          const at = keptAt[places[r]![j]!]!;
          const value = at >= 0 ? weights[(firstOut + o) * kept.length + at]! : 0;
          fitted[o * columns + j] = value;
        }
      }
      makeUp(one, fitted);
      firstOut += out;
      return become(one, fitted, this.beta);
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
    return [become(this.summed[0]!, weight, 0)];
  }

  [Symbol.asyncDispose](): Promise<void> {
    return disposeAll(this.summed.map(({ statistics }) => statistics));
  }

  /** One over the energy of what a reader gives; 1 where it is the only one, or gives nothing. */
  private async scaleOf(one: Summed): Promise<number> {
    if (this.summed.length === 1) return 1;
    const alone = { gram: gramOf(one, one.own), residual: null };
    using solver = await this.joined([one], [alone], [1]);
    return solver.targetNormSq > 0 ? 1 / solver.targetNormSq : 1;
  }

  /**
   * The Gram matrix of a reader's own columns, as far as the others do not give it: what is lost of them is made up for there. The
   * ridge on the others is that of every refit.
   */
  private async withoutOthers(one: Summed): Promise<Problem> {
    const { own, reader } = one;
    const all = columnsOf(reader);
    const residual = this.beta === 0 ? null : residualOf(one, this.beta);
    if (own === all) return { gram: gramOf(one, own), residual };
    const gram = gramOf(one, all);
    // Constant inputs lose nothing either.
    if (gram.every((value) => value === 0)) return { gram: gramOf(one, own), residual: null };
    const out = own + (residual ? reader.out : 0);
    const weight = new Float32Array(out * all);
    for (let j = 0; j < own; j++) weight[j * all + j] = 1;
    const cross = residual && new Float64Array(out * all);
    cross?.set(residual!.cross, own * all);
    const { tokens } = one.statistics.read();
    const sums = new Float64Array(all);
    using solver = await this.store.solver({
      ...{ in: all, out, tokens, gram, sums, weight },
      ...(cross && { cross, residualSums: new Float64Array(out) }),
      ...{ lambda: this.lambda, groupSize: 1 },
    });
    using refit = await solver.refit(Uint8Array.from({ length: all }, (_, j) => Number(j >= own)));
    const fitted = refit.weight();
    one.through = fitted.subarray(0, own * (all - own));
    if (residual) one.given = fitted.subarray(one.through.length);
    return {
      gram: less(gram, one.through, own, all),
      residual: residual && lessGiven(residual, one),
    };
  }

  /** Whether its sums are those of the problem: of the site alone, without feedback, and not of constants. */
  private isPlain({ reader, own, statistics }: Summed): boolean {
    if (this.beta > 0 || own !== columnsOf(reader)) return false;
    const { tokens, squares } = statistics.read();
    const means = reader.bias && meansOf(statistics);
    return squares.some((sum, j) => sum - (means ? tokens * means[j]! ** 2 : 0) !== 0);
  }

  /** Without a copy of the sums here. */
  private solverOf({ reader, own, weight, statistics }: Summed): Promise<Solver> {
    const means = reader.bias ? meansOf(statistics) : null;
    const { lambda, units } = this;
    const problem = { out: reader.out, weight, means, lambda, groupSize: own / units };
    return Solver.ofStatistics(statistics, problem);
  }

  private async joined(
    summed: readonly Summed[],
    problems: readonly Problem[],
    scales: readonly number[],
  ): Promise<Solver> {
    const width = this.widthOf(summed);
    const all = this.units * width;
    const out = summed.reduce((total, { reader }) => total + reader.out, 0);
    const gram = new Float64Array(all * all);
    const weight = new Float32Array(out * all);
    const isFed = problems.some(({ residual }) => residual);
    const cross = isFed ? new Float64Array(out * all) : null;
    const places = this.placesOf(summed);
    let firstOut = 0;
    let residualNormSq = 0;
    summed.forEach(({ reader, own, weight: weights }, r) => {
      const to = places[r]!;
      const columns = columnsOf(reader);
      const { gram: sums, residual } = problems[r]!;
      residualNormSq += scales[r]! * (residual?.normSq ?? 0);
      for (let i = 0; i < own; i++) {
        for (let j = 0; j < own; j++) {
          gram[to[i]! * all + to[j]!] = scales[r]! * sums[i * own + j]!;
        }
      }
      for (let o = 0; o < reader.out; o++) {
        for (let j = 0; j < own; j++) {
          const at = (firstOut + o) * all + to[j]!;
          weight[at] = weights[o * columns + j]!;
          if (residual) cross![at] = scales[r]! * residual.cross[o * own + j]!;
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
      ...(cross && { cross, residualSums: new Float64Array(out), residualNormSq }),
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

/**
 * Its bias takes up what the columns gave on average and do not give any more; with feedback what they have lost on average too.
 */
function become(
  { reader, weight, statistics, origin }: Summed,
  fitted: Float32Array,
  beta: number,
): Refitted {
  if (!origin) return { reader, weight: fitted, shift: null };
  const columns = columnsOf(reader);
  const means = meansOf(statistics).map((mean, j) => mean + origin[j]!);
  const shift = shiftOf(weight, fitted, means.subarray(0, columns), reader.out);
  if (beta > 0) {
    const lost = means.subarray(columns);
    for (let o = 0; o < reader.out; o++) {
      for (let j = 0; j < columns; j++) shift[o]! += beta * weight[o * columns + j]! * lost[j]!;
    }
  }
  return { reader, weight: fitted, shift };
}

/** Inputs that never change say nothing: the weights alone decide. */
function orIdentity(gram: Float64Array): Float64Array {
  const n = Math.sqrt(gram.length);
  return gram.every((value) => value === 0) ? gram.map((_, i) => Number(i % (n + 1) === 0)) : gram;
}

/** `[count, count]` of a reader's first columns; about their means where a bias takes those up. */
function gramOf(one: Summed, count: number): Float64Array {
  return sumsOf(one, 0, 0, count);
}

/** The same of columns from `first` on, by those from `second` on. */
function sumsOf(
  { reader, statistics }: Summed,
  first: number,
  second: number,
  count: number,
): Float64Array {
  const gram = new Float64Array(count * count);
  const means = reader.bias ? meansOf(statistics) : null;
  const { tokens } = statistics.read();
  for (let i = 0; i < count; i++) {
    const row = statistics.gramRows(first + i, 1);
    for (let j = 0; j < count; j++) {
      const mean = means ? tokens * means[first + i]! * means[second + j]! : 0;
      gram[i * count + j] = row[second + j]! - mean;
    }
  }
  return gram;
}

/** Of all columns of a reader. */
function residualOf(one: Summed, beta: number): Residual {
  const columns = columnsOf(one.reader);
  const weight = Float64Array.from(one.weight, (value) => beta * value);
  const cross = product(weight, sumsOf(one, columns, 0, columns), columns);
  const lost = product(weight, sumsOf(one, columns, columns, columns), columns);
  return { cross, normSq: weight.reduce((sum, value, i) => sum + value * lost[i]!, 0) };
}

/** A B of `[rows, columns]` by `[columns, columns]`. */
function product(a: Float64Array, b: Float64Array, columns: number): Float64Array {
  const c = new Float64Array(a.length);
  for (let row = 0; row < a.length; row += columns) {
    for (let k = 0; k < columns; k++) {
      const factor = a[row + k]!;
      for (let j = 0; j < columns; j++) c[row + j]! += factor * b[k * columns + j]!;
    }
  }
  return c;
}

/** `[rows, 2 * columns]`: rows as they are now, and what they have lost. */
function withLost(now: Float32Array, dense: Float32Array, columns: number): Float32Array {
  const rows = new Float32Array(2 * now.length);
  for (let at = 0; at < now.length; at += columns) {
    for (let j = 0; j < columns; j++) {
      rows[2 * at + j] = now[at + j]!;
      rows[2 * at + columns + j] = dense[at + j]! - now[at + j]!;
    }
  }
  return rows;
}

/** What the other columns do not give of it. */
function lessGiven({ cross, normSq }: Residual, { reader, own, through, given }: Summed): Residual {
  const all = columnsOf(reader);
  const others = all - own;
  const left = new Float64Array(reader.out * own);
  let made = 0;
  for (let o = 0; o < reader.out; o++) {
    const ofOthers = cross.subarray(o * all + own, (o + 1) * all);
    for (let j = 0; j < own; j++) {
      let gone = 0;
      for (let k = 0; k < others; k++) gone += through![j * others + k]! * ofOthers[k]!;
      left[o * own + j] = cross[o * all + j]! - gone;
    }
    for (let k = 0; k < others; k++) made += given![o * others + k]! * ofOthers[k]!;
  }
  return { cross: left, normSq: Math.max(0, normSq - made) };
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
function makeUp({ reader, own, weight, through, given }: Summed, fitted: Float32Array): void {
  if (!through) return;
  const columns = columnsOf(reader);
  const others = columns - own;
  for (let o = 0; o < reader.out; o++) {
    for (let k = 0; given && k < others; k++) {
      fitted[o * columns + own + k]! += given[o * others + k]!;
    }
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
