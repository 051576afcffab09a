/**
 * What the native solvers charge to the memory budget, in bytes: see native-bytes.ts. All their matrices are tiled; the
 * letters are those of docs/method.md. A matrix is counted from the step that fills it to the one that drops it.
 */
import { FEW_STEPS } from '../model/architecture';
import type { Ground } from './native-bytes';
import { DOUBLE, FLOAT, full, half, tileAxis, tilesBytes } from './tile-bytes';

/** Removals of a batch: BatchOf of sweep_columns.cpp. */
function batchOf(columns: number): number {
  if (columns < 4096) return 64;
  return columns < 8192 ? 128 : 256;
}

/** A site's problem: columns of its output map, its rows, and what else it knows. */
export interface Problem {
  inputs: number;
  outputs: number;
  /** Columns of a group. */
  group: number;
  /** Feedback: the target differs from the map's own output. */
  cross: boolean;
  /** Solved in the Fisher metric. */
  fisher: boolean;
}

/** A solver at rest, beside the statistics. */
export function problemBytes(ground: Ground, problem: Problem): number {
  return tilesBytes(ground, held(problem));
}

/** Tiles of a problem from createSolver on. */
function held({ inputs: n, outputs: d, fisher }: Problem): number {
  return full(d, n, FLOAT) + (fisher ? half(d) : 0);
}

function solverBytes(ground: Ground, problem: Problem, steps: number[], buffers = 0): number {
  const copies = ground.gpu?.algebra(problem.inputs, problem.outputs) ?? 0;
  return copies + DOUBLE * buffers + tilesBytes(ground, held(problem) + Math.max(...steps));
}

/** createSolver: what measuring the target takes for a moment. */
export function targetBytes(ground: Ground, problem: Problem): number {
  const { inputs: n, outputs: d, fisher } = problem;
  return solverBytes(ground, problem, [full(d, n) * (fisher ? 3 : 2)]);
}

/** sweep over at most `removed` columns: the state P and Q, then the exact curve. The first state's W* − W lives up to that. */
export function sweepBytes(ground: Ground, problem: Problem, removed: number): number {
  const { inputs: n, outputs: d, group, cross, fisher } = problem;
  const found = cross ? full(d, n) : 0;
  const state = [
    3 * half(n) + full(d, n), // factor, its inverse, P
    found + 2 * half(n) + full(d, n) * (fisher ? 2 : 1), // P, Q, W*
  ];
  const dropped = group === 1 ? Math.max(tileAxis(n).side, n >> 3) : group;
  const removal = found + 2 * half(n) + (removed > dropped ? half(n - dropped) : 0);
  const kept = n - removed;
  const shift = cross ? full(d, kept) + full(d, removed) : 0;
  const factor = half(kept) + full(removed, kept) + half(removed) + shift;
  const steps = full(d, removed);
  const rows = half(removed) + full(removed, kept);
  const curve = [
    found + shift,
    factor + 2 * steps,
    factor + steps + rows,
    shift +
      rows +
      steps * (fisher ? 2 : 1) +
      half(removed) +
      Math.max(full(removed, kept), half(removed)),
    cross ? shift + rows + steps + full(d, kept) * (fisher ? 2 : 1) : 0,
  ];
  // Blocks and rows that stay here where P and Q are on a GPU.
  const besideGpu = (ground.gpu?.algebra(n, d) ?? 0) > 0 ? 4 * n * group : 0;
  const buffers =
    group === 1 ? 2 * batchOf(n) * n : 2 * group ** 2 * ground.threads + 3 * n * group + besideGpu;
  return solverBytes(ground, problem, [...state, removal, ...curve], buffers);
}

/** refit on `kept` columns. */
export function refitBytes(ground: Ground, problem: Problem, kept: number): number {
  const { inputs: n, outputs: d } = problem;
  const solution = half(kept) + full(d, kept);
  const steps = [
    solution + full(d, n - kept) + full(n - kept, kept),
    solution + full(d, kept) + full(d, kept, FLOAT),
    measuring(problem, kept),
  ];
  const rounded = FEW_STEPS.includes(ground.stored) ? roundingDoubles(ground, d, kept) : 0;
  return solverBytes(ground, problem, steps, rounded);
}

/** RowRounding of rounded_refit.cpp, one a row of tiles: rows as floats and as doubles, L of a block, what it pulls. */
function roundingDoubles({ threads }: Ground, outputs: number, columns: number): number {
  const rows = 128;
  const block = 32;
  const tasks = Math.min(threads, tileAxis(outputs).tiles);
  return tasks * ((rows / 2 + rows + block) * columns + rows * block);
}

/** slice, without a refit. */
export function sliceBytes(ground: Ground, problem: Problem, kept: number): number {
  return solverBytes(ground, problem, [measuring(problem, kept)]);
}

/** The kept weight, the change of the map, and its gradient, weighed in a metric. */
function measuring({ inputs: n, outputs: d, fisher }: Problem, kept: number): number {
  return full(d, kept, FLOAT) + full(d, n) + Math.max(full(d, kept), full(d, n) * (fisher ? 2 : 1));
}

/** admm: matrix, factor and the next one, four arrays of the map's size. */
export function admmBytes(ground: Ground, problem: Problem): number {
  const { inputs: n, outputs: d } = problem;
  return solverBytes(ground, problem, [3 * half(n) + 4 * full(d, n)]);
}

/** swap on `kept` columns: the tableau, and what it is made of or measured by. */
export function swapBytes(ground: Ground, problem: Problem, kept: number): number {
  const { inputs: n, outputs: d, group, fisher } = problem;
  const removed = n - kept;
  const base = half(kept) + full(d, kept) + half(removed) + full(removed, kept); // solution, Schur, H_RK
  const steps = [
    base + full(d, n) + full(d, kept) + full(d, removed),
    base + full(d, n) + 2 * half(kept),
    base + full(d, n) + half(kept) + 2 * full(removed, kept) + half(n),
    base + full(d, n) * (fisher ? 2 : 1) + half(kept) + full(removed, kept) + 2 * half(n),
    2 * half(n) + half(kept) + full(d, kept) + full(d, n) * (fisher ? 3 : 2),
  ];
  return solverBytes(ground, problem, steps, 4 * n * group + 8 * group ** 2);
}
