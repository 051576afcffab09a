/**
 * Changes of low rank of the maps that stay, (W + left · right) · diag(factors) (docs/method.md, section 9), tuned beside the
 * factors. A block's numbers, and their two moments, are in memory while it is at hand, and else in the journal.
 */
import { isQuantised } from '../checkpoint/container';
import type { ExportPlan } from '../checkpoint/export';
import type { Block, LowRank, LowRankSums } from '../engine/block';
import { disposeAll } from '../engine/owned';
import type { Session } from '../engine/session';
import type { Statistics } from '../engine/statistics';
import type { BlockRole, Part } from '../model/sublayers';
import { uniform } from '../random';
import type { Steps } from '../turns';
import { adamStep, type Numbers } from './adam';
import { isOneOf, writtenParts } from './factors';

/** Maps that gradients go through. */
const MAPS = ['q', 'k', 'v', 'out', 'up', 'gate'] as const satisfies readonly Part[];

/**
 * Steps of left and of right, in root mean squares of the map and of right as it was drawn, beside the factors' rate: what
 * a step adds is as large beside the map in any model. docs/decisions/0063.
 */
const STEP = { left: 0.5, right: 2.4 };

/** Where the numbers of one map's change lie among its block's: those of left `[rows, rank]`, then right `[rank, cols]`. */
export interface ChangePlace {
  role: BlockRole;
  rows: number;
  cols: number;
  rank: number;
  at: number;
}

/** A block's numbers, `mean` and `square` as Adam has them. */
export interface ChangeState {
  values: Float32Array;
  mean: Float32Array;
  square: Float32Array;
}

/** Keeps the states of a run's blocks, of its last step and of the one before. */
export interface ChangeStore {
  /** After so many steps, one at least; into memory of that size. */
  read(block: number, steps: number, into: ChangeState): Promise<void>;
  write(block: number, steps: number, state: ChangeState): Promise<void>;
}

/** By block of an output to come. Maps in a quantised type have none: their codes would be others. */
export function changePlaces(plan: Pick<ExportPlan, 'tensors'>, rank: number): ChangePlace[][] {
  const places: ChangePlace[][] = [];
  if (rank === 0) return places;
  for (const { role, block, shape, dtype } of writtenParts(plan)) {
    if (block === null) continue;
    while (places.length <= block) places.push([]);
    if (isQuantised(dtype) || !isOneOf(role, MAPS)) continue;
    const [rows, cols] = shape as [number, number];
    const own = places[block]!;
    const at = countOf(own);
    own.push({ role: role as BlockRole, rows, cols, rank: Math.min(rank, rows, cols), at });
  }
  return places;
}

/** Numbers of a block's changes. */
export function countOf(places: readonly ChangePlace[] = []): number {
  const last = places.at(-1);
  return last ? last.at + last.rank * (last.rows + last.cols) : 0;
}

/** Memory for the state of one block at a time, the same for each: new memory would keep the garbage collector at work. */
export function stateMemory(
  blocks: readonly (readonly ChangePlace[])[],
): (places: readonly ChangePlace[]) => ChangeState {
  const most = Math.max(0, ...blocks.map(countOf));
  const make = () => new Float32Array(most);
  const whole: ChangeState = { values: make(), mean: make(), square: make() };
  return (places) => {
    const own = (numbers: Float32Array) => numbers.subarray(0, countOf(places));
    return { values: own(whole.values), mean: own(whole.mean), square: own(whole.square) };
  };
}

/** Of no steps: left is 0, and right drawn at random with rows of length 1. */
export function fillFirst(
  { values, mean, square }: ChangeState,
  block: number,
  places: readonly ChangePlace[],
): void {
  for (const zeros of [values, mean, square]) zeros.fill(0);
  const next = uniform(block);
  for (const place of places) {
    const most = Math.sqrt(3 / place.cols);
    const { right } = productAt(place, values);
    for (let i = 0; i < right.length; i++) right[i] = most * (2 * next() - 1);
  }
}

/** ∂L/∂(a block's numbers), and the root mean square of every map with its change, in the places' order. */
export interface ChangeGradient {
  numbers: Float32Array;
  sizes: readonly number[];
}

/** A step of a block's numbers down their gradient, in place, after so many before it. */
export function* stepChanges(
  places: readonly ChangePlace[],
  { values, mean, square }: ChangeState,
  { numbers, sizes }: ChangeGradient,
  steps: number,
  rate: number,
): Steps<void> {
  for (const [i, { rows, cols, rank, at }] of places.entries()) {
    const middle = at + rows * rank;
    const side = (from: number, to: number, size: number) => {
      const own = (all: Float32Array) => all.subarray(from, to);
      const moments = { mean: own(mean), square: own(square), steps };
      return adamStep(own(values), own(numbers), moments, rate * size);
    };
    yield* side(at, middle, STEP.left * sizes[i]!);
    yield* side(middle, middle + rank * cols, STEP.right / Math.sqrt(cols));
  }
}

function productAt({ rows, cols, rank, at }: ChangePlace, values: Float32Array): LowRank {
  const middle = at + rows * rank;
  return {
    rank,
    left: values.subarray(at, middle),
    right: values.subarray(middle, middle + rank * cols),
  };
}

/** A block's changes. */
export interface Changes {
  places: readonly ChangePlace[];
  values: Float32Array;
}

/** Adds them to its maps, which have no factors yet. */
export async function addChanges(block: Block, { places, values }: Changes): Promise<void> {
  for (const place of places) await block.addProduct(place.role, productAt(place, values));
}

/**
 * Lends sums of the changes that a block holds, and says what they came to: ∂L/∂(its numbers). `scales`: factors of a map's
 * columns, if any.
 */
export async function summingChanges(
  session: Session,
  { places, values }: Changes,
  scales: (role: BlockRole) => Float64Array | null,
  use: (changes: Record<BlockRole, LowRankSums>) => Promise<void>,
): Promise<Float32Array> {
  const owned: Statistics[] = [];
  const sums = (dim: number, residual: number) => {
    const made = session.statistics(dim, { gram: false, residual });
    owned.push(made);
    return made;
  };
  try {
    const changes = places.map((place) => {
      const { role, rows, cols, rank } = place;
      const { left, right } = productAt(place, values);
      const both = { leftSums: sums(rank, rows), rightSums: sums(cols, rank) };
      return [role, { rank, left, right: byColumn(right, scales(role)), ...both }] as const;
    });
    await use(Object.fromEntries(changes) as Record<BlockRole, LowRankSums>);
    const gradient = new Float32Array(countOf(places));
    for (const [i, { role, rows, rank, at }] of places.entries()) {
      const { leftSums, rightSums } = changes[i]![1];
      gradient.set(leftSums.crossProducts(), at);
      gradient.set(byColumn(rightSums.crossProducts(), scales(role)), at + rows * rank);
    }
    return gradient;
  } finally {
    await disposeAll(owned);
  }
}

/** The columns of a matrix times their factors. */
function byColumn<N extends Numbers>(matrix: N, factors: Float64Array | null): N {
  if (factors === null) return matrix;
  return matrix.map((value, i) => value * factors[i % factors.length]!) as N;
}
