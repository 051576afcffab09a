import {
  type AllocationLayer,
  allocate,
  allocateEnergy,
  allocateThreshold,
  allocateUniform,
  allowedRemovals,
  type Budget,
} from '../../lib/allocation';
import type { EnergyOptions } from '../../lib/allocation/energy';
import { bestTemperature } from '../../lib/allocation/temperature';
import { widths } from '../../lib/choices/widths';
import { atOnce } from '../../lib/turns';

/** The rules without their pauses, on widths. */
export const now = {
  allocate: (...args: Parameters<typeof allocate>) => atOnce(allocate(...args)),
  allocateUniform: (layers: readonly AllocationLayer[], budget: Budget) =>
    allocateUniform(layers.map(widths), budget),
  allocateThreshold: (layers: readonly AllocationLayer[], budget: Budget) =>
    atOnce(allocateThreshold(layers.map(widths), budget)),
  allocateEnergy: (layers: readonly AllocationLayer[], budget: Budget, options: EnergyOptions) =>
    atOnce(allocateEnergy(layers.map(widths), budget, options)),
  bestTemperature: (predictedError: (temperature: number) => number) =>
    atOnce(
      bestTemperature(function* (t) {
        yield;
        return predictedError(t);
      }),
    ),
};

/** A small seeded generator (mulberry32), uniform in [0, 1). */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export function randomInt(random: () => number, low: number, high: number): number {
  return low + Math.floor(random() * (high - low + 1));
}

/** A growing error curve; not convex unless `convex`. */
export function randomCurve(random: () => number, groups: number, convex: boolean): Float64Array {
  const steps = Array.from({ length: groups }, () => random() ** 3 + 1e-3);
  if (convex) steps.sort((a, b) => a - b);
  const scale = 10 ** (4 * random() - 2);
  const curve = new Float64Array(groups + 1);
  for (const [k, step] of steps.entries()) curve[k + 1] = curve[k]! + scale * step;
  return curve;
}

export interface LayerShape {
  groups: number;
  cost: number;
  multiple?: number;
  maxShare?: number;
  scope?: AllocationLayer['scope'];
}

export function layerOf(
  shape: LayerShape,
  curve: Float64Array | null,
  weight = 1,
): AllocationLayer {
  const { groups, cost, multiple = 1, maxShare = 0.9, scope = 'ffn' } = shape;
  const allowed = allowedRemovals(groups, { multiple, minKeep: 1, maxShare });
  return { scope, groups, cost, allowed, curve, weight };
}

/** FFN and KV layers of a random model. */
export function randomLayers(random: () => number, options: { convex?: boolean } = {}) {
  const blocks = randomInt(random, 1, 6);
  const hidden = 8 * randomInt(random, 1, 4);
  const withKv = random() < 0.5;
  const multiple = [1, 4, 8][randomInt(random, 0, 2)]!;
  const curveFor = (groups: number) => randomCurve(random, groups, options.convex ?? false);
  return Array.from({ length: blocks }, () => {
    const ffn = layerOf(
      { groups: 8 * randomInt(random, 2, 12), cost: 3 * hidden, multiple },
      null,
      random() + 0.1,
    );
    const kv = layerOf(
      { groups: randomInt(random, 2, 4), cost: 16 * hidden, scope: 'attention' },
      null,
      random() + 0.1,
    );
    return (withKv ? [kv, ffn] : [ffn]).map((layer) => ({
      ...layer,
      curve: curveFor(layer.groups),
    }));
  }).flat();
}

export function total(layers: AllocationLayer[]): number {
  return layers.reduce((sum, { groups, cost }) => sum + groups * cost, 0);
}

export function removable(layers: AllocationLayer[]): number {
  return layers.reduce((sum, { allowed, cost }) => sum + allowed.at(-1)! * cost, 0);
}

export function budgetOf(layers: AllocationLayer[], remove: number): Budget {
  return { remove, total: total(layers) };
}

/** Largest single step of rounding among the layers, in weights. */
export function largestStep(layers: AllocationLayer[]): number {
  const steps = layers.flatMap(({ allowed, cost }) =>
    Array.from(allowed.subarray(1), (to, i) => cost * (to - allowed[i]!)),
  );
  return Math.max(...steps);
}

/** A permutation of 0 … n − 1. */
export function shuffled(random: () => number, n: number): number[] {
  const order = Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = randomInt(random, 0, i);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}
