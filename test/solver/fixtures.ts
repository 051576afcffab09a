import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Metric, SiteSums } from '../../lib/engine/native-solver';
import { Solver } from '../../lib/engine/solver';

/** One site and what numpy computes of it (scripts/oracles/make-solver-fixtures.py). */
export interface SolverFixture {
  sums: SiteSums;
  /** Whether the oracle fits a bias. */
  bias: boolean;
  curve: Metric;
  targetNormSq: number;
  sweep: { order: number[]; cost: number[]; error: number[] };
  refit: { keep: number[]; weight: number[]; bias: number[] | null; error: number };
  swap: {
    start: number[];
    keep: number[];
    swaps: [number, number][];
    before: number;
    after: number;
  };
  admm: {
    options: Record<string, number>;
    kept: number;
    converged: boolean;
    keep: number[];
    history: { rho: number; changed: number; primal: number; dual: number; mask: number[] }[];
  };
}

export const FIXTURES = [
  'columns',
  'columns-bias-residual',
  'columns-fisher',
  'heads',
  'few-tokens',
] as const;

const root = join(__dirname, '..', '..');

/** Numbers that the addon wants as typed arrays, by name. */
const FLOATS = new Set(['weight', 'bias']);

export function loadFixture(name: string): SolverFixture {
  const path = join(root, 'test', 'fixtures', 'solver', `${name}.json`);
  const fixture = JSON.parse(readFileSync(path, 'utf8'));
  for (const [key, value] of Object.entries(fixture.sums)) {
    if (!Array.isArray(value)) continue;
    fixture.sums[key] = FLOATS.has(key) ? Float32Array.from(value) : Float64Array.from(value);
  }
  return fixture;
}

export function makeSolver(sums: SiteSums): Promise<Solver> {
  return Solver.fromSums(2, 0, sums);
}

/** Largest difference, relative to the largest number expected. */
export function worstGap(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let gap = 0;
  let scale = 0;
  for (let i = 0; i < expected.length; i++) {
    gap = Math.max(gap, Math.abs(actual[i]! - expected[i]!));
    scale = Math.max(scale, Math.abs(expected[i]!));
  }
  return Number.isNaN(gap) ? Number.POSITIVE_INFINITY : gap / scale;
}
