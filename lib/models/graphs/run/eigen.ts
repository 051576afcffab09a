/** Eigenvectors of symmetric matrices. */
import type { Steps } from '../../../turns';

export interface Eigen {
  /** Descending. */
  values: Float64Array;
  /** `[n, n]`: row i is the eigenvector of value i, of length 1. */
  vectors: Float64Array;
}

/**
 * Of the symmetric `matrix` `[n, n]`, which is overwritten: to tridiagonal form by reflections, then implicit QR steps with Wilkinson's
 * shift (Golub and Van Loan, Matrix Computations, 4th ed., algorithms 8.3.1 to 8.3.3).
 */
export function* eigen(matrix: Float64Array, n: number): Steps<Eigen> {
  const { on, off, vectors } = yield* tridiagonal(matrix, n);
  for (let last = n - 1; last > 0; ) {
    if (isNothing(on, off, last - 1)) {
      last--;
      continue;
    }
    let first = last - 1;
    while (first > 0 && !isNothing(on, off, first - 1)) first--;
    step(on, off, vectors, n, first, last);
    yield;
  }
  const order = [...on.keys()].sort((i, j) => on[j]! - on[i]! || i - j);
  const rows = new Float64Array(n * n);
  order.forEach((from, to) => {
    rows.set(vectors.subarray(from * n, (from + 1) * n), to * n);
  });
  return { values: Float64Array.from(order, (i) => on[i]!), vectors: rows };
}

/** The diagonal, what lies beside it, and the orthogonal matrix Z with Z A Zᵀ = T. */
interface Tridiagonal {
  on: Float64Array;
  off: Float64Array;
  vectors: Float64Array;
}

function* tridiagonal(matrix: Float64Array, n: number): Steps<Tridiagonal> {
  const [on, off] = [new Float64Array(n), new Float64Array(Math.max(0, n - 1))];
  const vectors = new Float64Array(n * n);
  for (let i = 0; i < n; i++) vectors[i * n + i] = 1;
  const [normal, moved] = [new Float64Array(n), new Float64Array(n)];
  for (let k = 0; k < n - 1; k++) {
    const row = matrix.subarray(k * n, (k + 1) * n);
    const length = lengthOf(row.subarray(k + 1));
    const pivot = row[k + 1]! > 0 ? -length : length;
    off[k] = pivot;
    normal.fill(0);
    normal.set(row.subarray(k + 1), k + 1);
    normal[k + 1]! -= pivot;
    const size = lengthOf(normal);
    if (size === 0) continue;
    for (let i = k + 1; i < n; i++) normal[i]! /= size;
    reflect(matrix, normal, moved, n, k + 1);
    // Rows of Z: Z' = H Z, of which column 0 … k stay.
    moved.fill(0);
    for (let i = k + 1; i < n; i++) {
      for (let j = 0; j < n; j++) moved[j]! += 2 * normal[i]! * vectors[i * n + j]!;
    }
    for (let i = k + 1; i < n; i++) {
      for (let j = 0; j < n; j++) vectors[i * n + j]! -= normal[i]! * moved[j]!;
    }
    yield;
  }
  for (let i = 0; i < n; i++) on[i] = matrix[i * n + i]!;
  return { on, off, vectors };
}

/** H A H of what lies behind row and column `from`, with H = I − 2 v vᵀ: A − v wᵀ − w vᵀ, w = 2 A v − 2 (vᵀ A v) v. */
function reflect(
  matrix: Float64Array,
  normal: Float64Array,
  moved: Float64Array,
  n: number,
  from: number,
): void {
  let along = 0;
  for (let i = from; i < n; i++) {
    let sum = 0;
    for (let j = from; j < n; j++) sum += matrix[i * n + j]! * normal[j]!;
    moved[i] = 2 * sum;
    along += sum * normal[i]!;
  }
  for (let i = from; i < n; i++) moved[i]! -= 2 * along * normal[i]!;
  for (let i = from; i < n; i++) {
    for (let j = from; j < n; j++) {
      matrix[i * n + j]! -= normal[i]! * moved[j]! + moved[i]! * normal[j]!;
    }
  }
}

function isNothing(on: Float64Array, off: Float64Array, i: number): boolean {
  const least = Number.EPSILON * (Math.abs(on[i]!) + Math.abs(on[i + 1]!));
  return Math.abs(off[i]!) <= Math.max(least, Number.MIN_VALUE);
}

/** One implicit QR step on the rows from `first` to `last`. */
function step(
  on: Float64Array,
  off: Float64Array,
  vectors: Float64Array,
  n: number,
  first: number,
  last: number,
): void {
  const half = (on[last - 1]! - on[last]!) / 2;
  const beside = off[last - 1]! ** 2;
  const shift = on[last]! - beside / (half + (half < 0 ? -1 : 1) * Math.sqrt(half * half + beside));
  let [x, z] = [on[first]! - shift, off[first]!];
  for (let k = first; k < last; k++) {
    const length = Math.sqrt(x * x + z * z);
    const [c, s] = length > 0 ? [x / length, z / length] : [1, 0];
    if (k > first) off[k - 1] = length;
    const [a, b, d] = [on[k]!, off[k]!, on[k + 1]!];
    on[k] = c * c * a + 2 * c * s * b + s * s * d;
    on[k + 1] = s * s * a - 2 * c * s * b + c * c * d;
    off[k] = c * s * (d - a) + (c * c - s * s) * b;
    if (k < last - 1) {
      x = off[k]!;
      z = s * off[k + 1]!;
      off[k + 1]! *= c;
    }
    turn(vectors, n, k, c, s);
  }
}

/** Rows k and k + 1. */
function turn(vectors: Float64Array, n: number, k: number, c: number, s: number): void {
  const [above, below] = [k * n, (k + 1) * n];
  for (let j = 0; j < n; j++) {
    const [u, v] = [vectors[above + j]!, vectors[below + j]!];
    vectors[above + j] = c * u + s * v;
    vectors[below + j] = c * v - s * u;
  }
}

/** Orthonormal rows that span those of `rows` `[count, n]`; fewer where these depend on each other. */
export function* orthonormal(rows: Float64Array, count: number, n: number): Steps<Float64Array> {
  const found: Float64Array[] = [];
  for (let i = 0; i < count; i++) {
    const row = rows.slice(i * n, (i + 1) * n);
    const before = lengthOf(row);
    // Twice is enough (Giraud, Langou, Rozložník and van den Eshof 2005).
    for (let time = 0; time < 2; time++) {
      for (const other of found) {
        let along = 0;
        for (let k = 0; k < n; k++) along += other[k]! * row[k]!;
        for (let k = 0; k < n; k++) row[k]! -= along * other[k]!;
      }
    }
    const length = lengthOf(row);
    if (length > 1e-6 * before) found.push(row.map((value) => value / length));
    yield;
  }
  const all = new Float64Array(found.length * n);
  found.forEach((row, i) => {
    all.set(row, i * n);
  });
  return all;
}

function lengthOf(row: Float64Array): number {
  let sum = 0;
  for (const value of row) sum += value * value;
  return Math.sqrt(sum);
}
