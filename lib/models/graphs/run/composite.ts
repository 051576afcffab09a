/**
 * Composite kernels: sums over a box, and a smaller kernel behind them (Bhalgat et al., Structured Convolutions for Efficient Neural
 * Network Design, arXiv 2008.02454, section 3). A kernel W is one where W = C S, of a matrix S of zeros and ones.
 */
import type { RidgeReport } from '../../../engine/native-solver';
import type { Store } from '../../../engine/store';
import { elements } from '../../../model/axes';
import { inTurns, type Steps } from '../../../turns';
import { orthonormal } from './eigen';
import type { ReaderSums } from './sums';

/** What a map loses with a smaller kernel. */
export interface Resized extends RidgeReport {
  /** `[out, columns]` C S. */
  weight: Float32Array;
  /** Squared error of what the map gives, that as a share, and the energy of what it gives. */
  error: number;
  relativeError: number;
  energy: number;
}

interface Sizes {
  /** Of the whole kernel, axis by axis. */
  kernel: readonly number[];
  /** By how much every axis longer than one is less: one more than that is the side of the box. */
  removed: number;
}

/** Of the smaller kernel. */
export function smaller({ kernel, removed }: Sizes): number[] {
  return kernel.map((size) => (size === 1 ? 1 : size - removed));
}

/**
 * The composite kernel that gives what the map gives most closely: C = (W G Sᵀ)(S G Sᵀ)⁻¹, with the ridge of every refit towards the composite
 * kernel that is closest to W itself. `exact` false: that one.
 */
export async function resized(
  store: Store,
  { weight, gram, tokens, lambda }: ReaderSums,
  sizes: Sizes,
  exact: boolean,
): Promise<Resized> {
  const n = elements(sizes.kernel);
  const small = elements(smaller(sizes));
  const basis = await inTurns(basisOf(sizes));
  const columns = Math.sqrt(gram.length);
  await inTurns(turned(gram, basis, n));
  transpose(gram, columns);
  await inTurns(turned(gram, basis, n));
  const turnedWeight = Float64Array.from(weight);
  await inTurns(turned(turnedWeight, basis, n));
  using solver = await store.solver({
    ...{ in: columns, out: weight.length / columns, tokens, gram, lambda, groupSize: 1 },
    ...{ sums: new Float64Array(columns), weight: Float32Array.from(turnedWeight) },
  });
  const keep = Uint8Array.from({ length: columns }, (_, j) => Number(j % n < small));
  using refit = exact ? await solver.refit(keep) : await solver.slice(keep);
  const { error, relativeError, lambda: used, ridgeRaised } = refit;
  return {
    weight: turnedBack(refit.weight(), basis, small, n),
    ...{ error, relativeError, energy: solver.targetNormSq, lambda: used, ridgeRaised },
  };
}

/** C of kernels that are C S: `[…, kernel]` to `[…, smaller kernel]`. */
export function* coefficientsOf(weight: Float32Array, sizes: Sizes): Steps<Float32Array> {
  const n = elements(sizes.kernel);
  const sums = sumsOf(sizes);
  const basis = yield* basisOf(sizes);
  const along = (values: (k: number) => number, row: number) => {
    let sum = 0;
    for (let k = 0; k < n; k++) sum += values(k) * basis[row * n + k]!;
    return sum;
  };
  // The basis is that of Gram and Schmidt, so S Qᵀ is a triangle.
  const triangle = sums.map((row) => sums.map((_, j) => along((k) => row[k]!, j)));
  const small = new Float32Array((weight.length / n) * sums.length);
  for (let filter = 0; filter < weight.length / n; filter++) {
    const found = new Float64Array(sums.length);
    for (let j = sums.length - 1; j >= 0; j--) {
      let left = along((k) => weight[filter * n + k]!, j);
      for (let i = j + 1; i < sums.length; i++) left -= found[i]! * triangle[i]![j]!;
      found[j] = left / triangle[j]![j]!;
    }
    small.set(found, filter * sums.length);
    yield;
  }
  return small;
}

/** S `[smaller kernel, kernel]`: ones where an element of the kernel is in the box of one of the smaller. */
function sumsOf(sizes: Sizes): number[][] {
  const { kernel } = sizes;
  let rows = [[1]];
  smaller(sizes).forEach((least, axis) => {
    const size = kernel[axis]!;
    const box = size - least;
    const line = (j: number) => Array.from({ length: size }, (_, k) => k >= j && k <= j + box);
    rows = rows.flatMap((row) =>
      Array.from({ length: least }, (_, j) =>
        row.flatMap((value) => line(j).map((isIn) => (isIn ? value : 0))),
      ),
    );
  });
  return rows;
}

/** `[kernel, kernel]` orthonormal rows, of which the first span those of S. */
function basisOf(sizes: Sizes): Steps<Float64Array> {
  const n = elements(sizes.kernel);
  const sums = sumsOf(sizes);
  const identity = Array.from({ length: n * n }, (_, i) => Number(i % (n + 1) === 0));
  return orthonormal(Float64Array.of(...sums.flat(), ...identity), sums.length + n, n);
}

/** Every n neighbours of the matrix become their coordinates along the basis, in place. */
function* turned(matrix: Float64Array, basis: Float64Array, n: number): Steps<void> {
  const before = new Float64Array(n);
  for (let at = 0; at < matrix.length; at += n) {
    before.set(matrix.subarray(at, at + n));
    for (let row = 0; row < n; row++) {
      let sum = 0;
      for (let k = 0; k < n; k++) sum += before[k]! * basis[row * n + k]!;
      matrix[at + row] = sum;
    }
    if (at % (n << 10) === 0) yield;
  }
}

/** Of the first coordinates of each kernel, the others being zeros. */
function turnedBack(
  coordinates: Float32Array,
  basis: Float64Array,
  small: number,
  n: number,
): Float32Array {
  return Float32Array.from({ length: (coordinates.length / small) * n }, (_, i) => {
    const [kernel, k] = [Math.floor(i / n), i % n];
    let sum = 0;
    for (let j = 0; j < small; j++) sum += coordinates[kernel * small + j]! * basis[j * n + k]!;
    return sum;
  });
}

function transpose(matrix: Float64Array, n: number): void {
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) {
      const value = matrix[i * n + j]!;
      matrix[i * n + j] = matrix[j * n + i]!;
      matrix[j * n + i] = value;
    }
  }
}
