/**
 * Searches on from the allocation of the survey's prices (docs/method.md, section 5; docs/decisions/0055). A price is what an error
 * of a layer costs the dense network. So all layers are pruned at once, and beside that each by a step more in a network of its own:
 * what that costs is its price where the allocation has come to, by which the rule decides again.
 */
import type { Allocation, JointAllocation } from '../allocation';
import type { PlacedLayer } from '../allocation/own';
import { StruPruneError } from '../errors';
import { maskAfter } from '../masks/sweep';
import type { Site } from '../model/sublayers';
import type { JointLosses } from '../models/front-end';
import { stageReporter } from '../progress';
import type { SearchPoint } from '../pruning/journal/journal';
import type { SearchReport } from '../pruning/result';
import { keptIndices } from '../spec/widths';
import { pricesOf } from './curves';
import type { Work } from './stage';

/** Of a layer's groups, that another network has less. */
const STEP = 0.1;
/** Of the way to the prices of a round, in their logarithms; halved by every round that was for nothing. */
const SHARE = 0.5;
/** Networks of a round beside the one with all layers pruned. */
const OTHERS = 64;
/** Beside the median of all a price may be so many times what it was in the dense network, or that part of it. */
const MOST = 4;

export interface Searched {
  allocation: Allocation | JointAllocation;
  weights: number[];
  search: SearchReport;
}

/** `allocate`: by the rule. What loses least of all rounds stays. */
export async function searchOn(
  work: Work,
  layers: readonly PlacedLayer[],
  allocate: (layers: PlacedLayer[]) => Promise<Allocation | JointAllocation>,
): Promise<Searched> {
  const { search: rounds, journal, network } = work;
  const { parts, part } = network;
  const report = stageReporter(work.onProgress, 'search', parts * (1 + rounds));
  const points = await journal.search();
  const reach = async (weights: number[], round: number) => {
    const allocation = await allocate(
      layers.map((layer, l) => ({ ...layer, weight: weights[l]! })),
    );
    const onPart = (index: number) => {
      const message = `${round} of ${rounds} rounds: ${part} ${index + 1} of ${parts}`;
      report(round * parts + index + 1, message, index);
    };
    const { removed } = allocation;
    if (!points[round]) {
      points.push(await measure(work, layers, removed, { wanted: round < rounds, onPart }));
      await journal.putSearch(points);
    }
    return { ...points[round]!, allocation, weights };
  };
  let best = await reach(
    layers.map(({ weight }) => weight),
    0,
  );
  const { loss: before } = best;
  let share = SHARE;
  for (let round = 1; round <= rounds; round++) {
    const { weights, prices } = best;
    const between = weights.map((weight, l) => weight ** (1 - share) * prices![l]! ** share);
    const next = await reach(between, round);
    if (next.loss < best.loss) best = next;
    else share /= 2;
  }
  const { allocation, weights, loss: after } = best;
  return { allocation, weights, search: { rounds, before, after } };
}

/** All layers pruned at once, with prices where they are `wanted`. */
async function measure(
  work: Work,
  layers: readonly PlacedLayer[],
  removed: Int32Array,
  { wanted, onPart }: { wanted: boolean; onPart(index: number): void },
): Promise<SearchPoint> {
  const stepped = new Set(wanted ? steppedLayers(layers) : []);
  const steps = layers.map((layer, l) =>
    stepped.has(l) ? stepFrom(layer, removed[l]!) : removed[l]!,
  );
  const { loss, others } = await prunedAtOnce(work, removed, steps, onPart);
  if (!wanted) return { removed: [...removed], loss, prices: null };
  const times = layers.map(({ curve, weight }, l) => {
    const error = curve[steps[l]!]! - curve[removed[l]!]!;
    return (others[l]! - loss) / (error * weight);
  });
  const scale = upperMedian(times.filter(Number.isFinite));
  const bounded = times.map((each, l) => {
    const ratio = each / scale;
    if (scale > 0 && Number.isFinite(ratio)) return Math.min(MOST, Math.max(1 / MOST, ratio));
    return stepped.has(l) ? 1 : Number.NaN;
  });
  const ratios = pricesOf(work.network.layers, bounded);
  const prices = layers.map(({ weight }, l) => weight * ratios[l]!);
  return { removed: [...removed], loss, prices };
}

/** All of them or, of more than a round has room for, of each site every so-many-th: others get a price between theirs. */
export function steppedLayers(layers: readonly { scope: Site }[]): number[] {
  const every = Math.ceil(layers.length / OTHERS);
  const sites = [...new Set(layers.map(({ scope }) => scope))];
  return sites.flatMap((site) => {
    const same = [...layers.keys()].filter((l) => layers[l]!.scope === site);
    return same.filter((_, i) => i % every === 0);
  });
}

/** So many groups less as are the least part of all, or more where that is the end. */
function stepFrom({ allowed, groups }: PlacedLayer, removed: number): number {
  const least = Math.max(1, STEP * groups);
  const more = allowed.find((count) => count >= removed + least);
  return more ?? allowed.findLast((count) => count <= removed - least) ?? removed;
}

/** Of an even number the upper of the middle two; NaN of none. */
function upperMedian(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

/** Masks and refits are those of trials: of the dense network's inputs. */
function prunedAtOnce(
  { network, survey }: Work,
  removed: Int32Array,
  steps: readonly number[],
  onPart: (index: number) => void,
): Promise<JointLosses> {
  if (!network.jointly) {
    throw new StruPruneError('ERR_INTERNAL', 'layers of this network cannot be pruned at once');
  }
  const { layers, stored } = network;
  const differs = (at: number) => steps[at] !== removed[at];
  return network.jointly({
    survey,
    networks: 1 + [...layers.keys()].filter(differs).length,
    onPart,
    async visit(at, { solver, other, joint }) {
      const { groups } = layers[at]!;
      const maxRemoved = Math.max(removed[at]!, steps[at]!);
      const sweep = await solver.sweep({ maxRemoved, selection: survey.selection, curve: 'plain' });
      const cutTo = async (count: number, cut: typeof joint) => {
        if (count === 0) return cut(null);
        const keep = maskAfter(sweep.order, groups, count);
        using refit = await solver.refit(keep, { stored });
        await cut({ kept: keptIndices(keep), refit });
      };
      if (differs(at)) await cutTo(steps[at]!, other);
      await cutTo(removed[at]!, joint);
    },
  });
}
