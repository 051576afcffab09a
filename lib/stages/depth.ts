/**
 * Whole sublayers among what may go (docs/method.md, section 5; docs/decisions/0024). One goes at a time: the cheapest of
 * those that the rule would take. What the others would cost without it is measured before the next.
 */
import type { Allocation, Budget, JointAllocation } from '../allocation';
import type { PlacedLayer } from '../allocation/own';
import { StruPruneError } from '../errors';
import type { Work } from './stage';

/** What the network loses more without each layer as a whole, those of `gone` being gone so; null: that may not go. */
export type Prices = (gone: readonly number[]) => Promise<readonly (number | null)[]>;

export interface DepthInput {
  layers: readonly PlacedLayer[];
  budget: Budget;
  prices: Prices;
  /** The rule. */
  allocate(layers: PlacedLayer[], budget: Budget): Promise<Allocation | JointAllocation>;
}

export interface DepthAllocation {
  allocation: Allocation | JointAllocation;
  /** Layers that go as wholes, in the order in which they were taken, with what each cost then. */
  gone: ReadonlyMap<number, number>;
}

export async function allocateWithDepth(input: DepthInput): Promise<DepthAllocation> {
  const { layers, budget, prices, allocate } = input;
  const gone = new Map<number, number>();
  for (;;) {
    const price = await prices([...gone.keys()]);
    const open = [...layers.keys()].filter((at) => !gone.has(at));
    const offered = open.map((at) => ({ ...layers[at]!, gone: price[at] ?? undefined }));
    const rest = await allocate(offered, budgetWithout(budget, layers, gone, open));
    const taken = open.filter((at, i) => rest.removed[i] === layers[at]!.groups);
    if (taken.length === 0) return { allocation: together(layers, gone, open, rest), gone };
    const perWeight = (at: number) => price[at]! / weightsOf(layers[at]!);
    const next = taken.reduce((best, at) => (perWeight(at) < perWeight(best) ? at : best));
    gone.set(next, price[next]!);
  }
}

/** By trials of the network; those that the journal has are not made again. */
export async function trialPrices({ network, journal }: Work): Promise<Prices> {
  const rounds = await journal.depth();
  return async (gone) => {
    const known = rounds[gone.length];
    if (known) return known;
    if (!network.withoutEach) {
      throw new StruPruneError('ERR_INTERNAL', 'no layer of this network can go as a whole');
    }
    const prices = await network.withoutEach(gone);
    rounds.push(prices);
    await journal.putDepth(rounds);
    return prices;
  };
}

function weightsOf({ cost, groups }: PlacedLayer): number {
  return cost * groups;
}

type Gone = DepthAllocation['gone'];

/** What is still to go of the layers in `open`. */
function budgetWithout(
  budget: Budget,
  layers: readonly PlacedLayer[],
  gone: Gone,
  open: readonly number[],
): Budget {
  const weights = [...gone.keys()].reduce((sum, at) => sum + weightsOf(layers[at]!), 0);
  const remove = Math.max(0, budget.remove - weights);
  const { total, counted } = budget;
  if (!counted) return { remove, total };
  const { freed, each, now } = counted;
  if (!freed) return { remove, total, counted: { ...counted, now: now - each * weights } };
  const withGone = (rest: Int32Array) => freed(removedOf(layers, gone, open, rest));
  return { remove, total, counted: { ...counted, freed: withGone } };
}

/** Of all layers. `rest`: of those in `open`. */
function removedOf(
  layers: readonly PlacedLayer[],
  gone: Gone,
  open: readonly number[],
  rest: Int32Array,
): Int32Array {
  const removed = Int32Array.from(layers, ({ groups }, at) => (gone.has(at) ? groups : 0));
  open.forEach((at, i) => {
    removed[at] = rest[i]!;
  });
  return removed;
}

function together(
  layers: readonly PlacedLayer[],
  gone: Gone,
  open: readonly number[],
  rest: Allocation | JointAllocation,
): Allocation | JointAllocation {
  const removed = removedOf(layers, gone, open, rest.removed);
  const losses = [...gone.values()].reduce((sum, loss) => sum + loss, 0);
  return {
    ...rest,
    removed,
    sparsities: Float64Array.from(layers, ({ groups }, at) => removed[at]! / groups),
    removedWeights: layers.reduce((sum, { cost }, at) => sum + cost * removed[at]!, 0),
    predictedError: rest.predictedError === null ? null : rest.predictedError + losses,
  };
}
