/** Which sites of a graph shrink, and what holds the other weights. */
import { allowedRemovals, unitsOfMultiple } from '../../../allocation';
import type { Dtype } from '../../../model/architecture';
import { elements } from '../../../model/axes';
import { reaches, type Scope } from '../../../options/method';
import type { Layer } from '../../../spec/widths';
import { FLOAT16 } from '../onnx/tensor';
import type { Network } from '../relate';
import { type Site, sitesOf } from '../sites';
import { weightsOf } from '../weights';
import { smaller } from './composite';
import type { Counts } from './counts';
import type { Factored } from './factored';
import { columnsOf, type Reader, Readers } from './readers';

/** A site that shrinks. */
export interface PrunedSite {
  site: Site;
  readers: Reader[];
  /** The map whose rank its units are. */
  rankOf?: Factored;
  /** Sizes of the kernel that its units are those of, axis by axis; its only reader reads all inputs that are left. */
  kernel?: readonly number[];
}

/** To the stages all sites are of one kind, each in a block of its own. */
export const UNITS = 'units';

/** Weights that stay, as a share of all, and why. */
export interface Held {
  reason: string;
  share: number;
}

export interface Choosing {
  /** A refit may change biases. */
  fits: boolean;
  scope: Scope;
  /** Maps as two. */
  factored?: readonly Factored[];
}

export function prunedSites(
  network: Network,
  { fits, scope, factored = [] }: Choosing,
): { sites: PrunedSite[]; held: Held[] } {
  const finder = new Readers(network, fits);
  const sites: PrunedSite[] = [];
  for (const site of sitesOf(network)) {
    const whole = factored.find(({ down, up }) => [down.name, up.name].includes(site.name));
    const rankOf = factored.find(({ up }) => site.readers[0]?.role.map.name === up.name);
    // Ranks are in every scope.
    const isMeant = rankOf !== undefined || reaches(scope, site.heads ? 'attention' : 'ffn');
    const readers = site.mixed ?? (isMeant ? finder.of(site) : `outside of the scope ${scope}`);
    if (whole) site.name = whole.tensor.name;
    if (typeof readers !== 'string') sites.push({ site, readers, ...(rankOf && { rankOf }) });
    else pin(network, site, readers);
  }
  const { all, pinned } = weightsOf(network);
  const held = [...pinned].map(([reason, weights]) => ({ reason, share: weights / all }));
  return { sites, held: held.sort((a, b) => b.share - a.share) };
}

/** What the readers' maps are stored in: 16-bit floats where all are. */
export function storedIn(sites: readonly PrunedSite[]): Dtype {
  const types = sites.flatMap(({ readers }) => readers.map(({ map }) => map.tensor!.dataType));
  return types.every((type) => type === FLOAT16) ? 'F16' : 'F32';
}

function pin({ axes }: Network, { readers, writers }: Site, reason: string): void {
  for (const { role, positions } of [...readers, ...writers]) {
    for (const position of positions) axes.pin(role.axis, reason, position, 1);
  }
}

/**
 * By site: the place of the first node that reads it, or one of those that are solved behind it. What is in front of it is final
 * when the site's turn comes.
 */
export function startsOf({ graph }: Network, sites: readonly PrunedSite[]): number[] {
  const places = new Map(graph.node.map((node, place) => [node, place]));
  let least = graph.node.length;
  const starts = sites.toReversed().map(({ site }) => {
    for (const { role } of site.readers) least = Math.min(least, places.get(role.node)!);
    return least;
  });
  return starts.reverse();
}

export interface Widths {
  priced: 'weights' | 'multiplyAdds';
  /** Undefined: what runs fast. */
  multiple: number | undefined;
  maxLayerSparsity: number;
}

/**
 * onnxruntime computes convolutions of x86 and ARM in blocks of 8 or 16 channels, and only of tensors whose channels are a multiple of 4: of
 * others it copies every tensor (docs/graphs.md, Widths).
 */
const FAST_MULTIPLE = 8;

/** Kept units of a site are a multiple of it: of heads any. Narrow sites have a choice of four widths at least. */
function roundingOf(site: Site, asked: number | undefined): number {
  const { units, heads, readers, writers } = site;
  if (heads) return 1;
  const each = [...readers, ...writers].map(({ positions }) => positions.length / units);
  const columns = Math.min(...each);
  const narrow = 2 ** Math.max(0, Math.floor(Math.log2((units * columns) / 4)));
  return unitsOfMultiple(asked ?? Math.min(FAST_MULTIPLE, narrow), columns);
}

/** Sites as layers, each a block by itself. */
export function layersOf(
  sites: readonly PrunedSite[],
  counts: Counts,
  { priced, multiple, maxLayerSparsity: maxShare }: Widths,
): Layer[] {
  const whole = counts.after()[priced];
  return sites.map((site, block) => {
    const { units: groups } = site.site;
    const { readers, rankOf, kernel } = site;
    const rounding = kernel ? 1 : roundingOf(site.site, multiple);
    const bounds = { multiple: rounding, minKeep: Math.min(rounding, groups), maxShare };
    const layer = {
      block,
      site: UNITS,
      groups,
      groupSize: readers.reduce((sum, reader) => sum + columnsOf(reader), 0) / groups,
      allowed: allowedRemovals(groups, bounds),
    };
    if (rankOf) {
      const sizes = counts.ofRanks(rankOf.up.name, priced);
      return { ...layer, cost: sizes.each, ...ranksOf(layer, sizes) };
    }
    if (kernel) {
      const sizes = kernelsOf({ ...layer, kernel }, counts, priced, new Int32Array(sites.length));
      return { ...layer, cost: sizes.priced.whole / groups, ...sizes };
    }
    const one = new Int32Array(sites.length);
    one[block] = 1;
    return { ...layer, cost: whole - counts.after(one)[priced] };
  });
}

/** Ranks that are less as two maps than as one. */
export function ranksOf(
  { groups, allowed }: Pick<Layer, 'groups' | 'allowed'>,
  { whole, each }: { whole: number; each: number },
): Required<Pick<Layer, 'allowed' | 'priced'>> {
  const freed = (count: number) => (count === 0 ? 0 : whole - (groups - count) * each);
  const less = allowed.filter((count) => count === 0 || freed(count) > 0);
  return { allowed: less, priced: { freed: Float64Array.from(less, freed), whole } };
}

/** Smaller kernels, and what they save beside so many units of every site. */
export function kernelsOf(
  { allowed, block, kernel }: Pick<Layer, 'allowed' | 'block'> & { kernel: readonly number[] },
  counts: Counts,
  priced: 'weights' | 'multiplyAdds',
  removed: Int32Array,
): Required<Pick<Layer, 'allowed' | 'priced'>> {
  const left = (count: number) => counts.after(removed.with(block, count))[priced];
  const freed = Float64Array.from(allowed, (count) => left(0) - left(count));
  const share = 1 - elements(smaller({ kernel, removed: 1 })) / elements(kernel);
  return { allowed, priced: { freed, whole: (left(0) - left(1)) / share } };
}
