/**
 * Sizes inside of maps beside widths: ranks (docs/decisions/0049) and kernels (0058). What they save depends on the widths around them, so the
 * rule is asked again with the savings beside what it took before.
 */
import type { Allocation, Budget, JointAllocation } from '../allocation';
import type { PlacedLayer } from '../allocation/own';
import { StruPruneError } from '../errors';
import type { Inner } from '../models/front-end';

/** Rounds of the rule; mostly the third is the second again. */
const ROUNDS = 5;

type Found = Allocation | JointAllocation;

export interface InnerInput {
  layers: readonly PlacedLayer[];
  budget: Budget;
  inner: Inner;
  /** The rule. */
  allocate(layers: PlacedLayer[], budget: Budget): Promise<Found>;
}

/**
 * The allocation of the least predicted loss: of widths alone, and of the rounds that begin with savings as they are beside nothing and
 * beside those widths.
 */
export async function allocateWithInner(input: InnerInput): Promise<Found> {
  const { layers, budget, inner, allocate } = input;
  const widths = await ifPossible(() => allocate(widthsOf(layers, inner), budget));
  let best = widths;
  for (const start of [new Int32Array(layers.length), ...(widths ? [widths.removed] : [])]) {
    let removed = start;
    for (let round = 0; round < ROUNDS; round++) {
      const beside = inner.beside(removed);
      const offered = layers.map((layer, at) => priced(layer, beside[at]!));
      const found = await ifPossible(() => allocate(offered, budget));
      if (!found || found.removed.every((count, at) => count === removed[at])) break;
      removed = found.removed;
      const left = settled(layers, inner, found);
      if (!best || left.predictedError! < best.predictedError!) best = left;
    }
  }
  // What was refused is refused here by its error.
  return best ?? allocate([...layers], budget);
}

/** Null where the budget is beyond what the layers can give. */
async function ifPossible(allocate: () => Promise<Found>): Promise<Found | null> {
  try {
    return await allocate();
  } catch (error) {
    if (error instanceof StruPruneError && error.code === 'ERR_ARGUMENT') return null;
    throw error;
  }
}

function widthsOf(layers: readonly PlacedLayer[], { at }: Inner): PlacedLayer[] {
  const none = Int32Array.of(0);
  return layers.map((layer, i) =>
    at.has(i)
      ? {
          ...layer,
          allowed: none,
          priced: { freed: Float64Array.of(0), whole: layer.priced!.whole },
        }
      : layer,
  );
}

function priced(
  layer: PlacedLayer,
  { allowed, priced: prices }: Pick<PlacedLayer, 'allowed' | 'priced'>,
): PlacedLayer {
  return prices ? { ...layer, allowed, priced: prices } : layer;
}

/** Without sizes that save nothing beside the widths that were taken: the budget is met as it was. */
function settled(layers: readonly PlacedLayer[], inner: Inner, found: Found): Found {
  const beside = inner.beside(found.removed);
  const removed = found.removed.map((count, at) =>
    inner.at.has(at) && !beside[at]!.allowed.includes(count) ? 0 : count,
  );
  const sum = (of: (layer: PlacedLayer, count: number) => number) =>
    layers.reduce((total, layer, at) => total + of(layer, removed[at]!), 0);
  return {
    ...found,
    removed,
    sparsities: Float64Array.from(layers, ({ groups }, at) => removed[at]! / groups),
    removedWeights: sum(({ cost }, count) => cost * count),
    predictedError: sum(({ weight, curve }, count) => weight * curve![count]!),
  };
}
