import { StruPruneError } from '../errors';
import type { Architecture, BlockWidths } from './architecture';
import { blockTensors, elements, modelShapes, type ShapedTensor, shapedTensors } from './axes';
import { sublayersOf } from './blocks';
import {
  type BlockRole,
  headsPerUnit,
  insideOf,
  outerSite,
  type Site,
  type Sublayer,
  unitsOf,
} from './sublayers';

/**
 * Coupled groups: the smallest sets of parameters that can only go together (docs/method.md). They follow from the axes
 * of a block's tensors: a group is one unit of a site, and every tensor with an axis along that site loses the unit's
 * entries with it. So an FFN channel is a row of gate and up with their biases and a column of the output map; a KV head,
 * with its query heads, rows of q, k and v with their biases and columns of the output map. Heads that one norm joins are one
 * group: without some of them the others would give something else. An expert is its maps and its row of the router; a
 * channel inside one is as that of any FFN.
 */

/** Indices of the units that stay, ascending, by site; a site that is left out stays whole. */
export type BlockKeep = Record<Site, Int32Array>;

/** Entries of a tensor that stay: `indices` along `axis` (0: rows, 1: columns). */
export interface Slice {
  axis: 0 | 1;
  indices: Int32Array;
}

/** Number of groups of a site. */
export function groupCount(architecture: Architecture, block: number, site: Site): number {
  return unitsOf(sublayerAt(architecture, block, site));
}

/** Parameters of one group: c_g counts the weights of linear maps; biases are given apart. */
export function groupParameters(
  architecture: Architecture,
  block: number,
  site: Site,
): { weights: number; biases: number } {
  return unitParameters(sublayerAt(architecture, block, site), architecture.hidden);
}

/** The same of a sublayer at hand. */
export function unitParameters(
  sublayer: Sublayer,
  hidden: number,
): { weights: number; biases: number } {
  const { name: site } = sublayer;
  const sum = { weights: 0, biases: 0 };
  for (const { axes, shape, unit } of shapedTensors(sublayer, hidden)) {
    const whole = unit?.site === site && unit.index === 0;
    if (!whole && !axes.some((axis) => axis.site === site)) continue;
    const lengths = whole
      ? shape
      : axes.map((axis, i) => (axis.site === site ? axis.per : shape[i]!));
    sum[axes.length === 2 ? 'weights' : 'biases'] += elements(lengths);
  }
  return sum;
}

/**
 * What stays of every tensor that the kept groups cut; tensors without an entry stay whole.
 * @throws StruPruneError ERR_ARGUMENT when kept indices are not ascending or out of range
 */
export function slicesFor(
  architecture: Architecture,
  block: number,
  keep: BlockKeep,
): Record<BlockRole, Slice> {
  const slices: Record<BlockRole, Slice> = {};
  for (const [site, kept] of Object.entries(keep)) {
    requireAscending(kept, groupCount(architecture, block, site), `block ${block}, ${site}`);
    for (const { role, axes } of blockTensors(architecture, block)) {
      const axis = axes.findIndex((each) => each.site === site);
      if (axis === -1) continue;
      slices[role] = { axis: axis as 0 | 1, indices: expand(kept, axes[axis]!.per) };
    }
  }
  return slices;
}

/** Weights of all linear maps of all blocks: the denominator of sparsity S. */
export function linearParameters(architecture: Architecture): number {
  return sumBlocks(architecture, (shape) => (shape.length === 2 ? elements(shape) : 0));
}

/**
 * Multiply-adds of all maps for a token, the head among them; of experts those that it passes. What attention multiplies beside
 * them grows with the text and is not counted.
 */
export function multiplyAdds(architecture: Architecture): number {
  const { embedding, projectIn = [0], projectOut = [0] } = modelShapes(architecture);
  const outside = [embedding!, projectIn, projectOut].map(elements);
  // The first experts of a block stand for those that a token passes: all have the same shapes.
  const passed = (index: number) => index < architecture.routing!.topK;
  const inside = sumBlocks(architecture, (shape, unit) =>
    shape.length === 2 && (!unit || passed(unit.index)) ? elements(shape) : 0,
  );
  return inside + outside.reduce((sum, count) => sum + count, 0);
}

/** All parameters, a tied head counted once. */
export function totalParameters(architecture: Architecture): number {
  const outside = Object.values(modelShapes(architecture)).map(elements);
  return sumBlocks(architecture, elements) + outside.reduce((sum, count) => sum + count, 0);
}

/**
 * The architecture after pruning; query heads per KV head stay what they were.
 * @param keeps one entry a block
 * @throws StruPruneError ERR_ARGUMENT as slicesFor
 */
export function prunedArchitecture(
  architecture: Architecture,
  keeps: readonly BlockKeep[],
): Architecture {
  if (keeps.length !== architecture.blocks.length) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `${keeps.length} sets of kept groups for ${architecture.blocks.length} blocks`,
    );
  }
  return keeps.reduce((result, keep, block) => prunedBlock(result, block, keep), architecture);
}

/** The architecture with one block pruned. @throws StruPruneError ERR_ARGUMENT as slicesFor */
export function prunedBlock(
  architecture: Architecture,
  block: number,
  keep: BlockKeep,
): Architecture {
  const counts = Object.entries(keep).map(([site, kept]) => {
    requireAscending(kept, groupCount(architecture, block, site), `block ${block}, ${site}`);
    return [site, kept.length];
  });
  const blocks = [...architecture.blocks];
  blocks[block] = widthsOf(architecture, block, Object.fromEntries(counts));
  return { ...architecture, blocks };
}

/**
 * Widths of a block with that many units at each site; a site that is left out stays whole.
 * @throws StruPruneError ERR_ARGUMENT where experts of a block would have unlike widths
 */
export function widthsOf(
  architecture: Architecture,
  block: number,
  counts: Readonly<Record<Site, number>>,
): BlockWidths {
  const widths = { ...architecture.blocks[block]! };
  for (const sublayer of sublayersOf(architecture, block)) {
    const { name, mixer } = sublayer;
    // Of those that stay; those of others are not asked for.
    const inside = insideOf(sublayer).flatMap((expert) => counts[expert.name] ?? []);
    const some = inside.length > 0 && inside.length < (counts[name] ?? unitsOf(sublayer));
    const whole = some ? widths.ffn : inside[0];
    if (whole !== undefined) widths.ffn = whole;
    if (inside.some((width) => width !== whole)) {
      const what = `experts of block ${block} would have unlike widths`;
      throw new StruPruneError('ERR_ARGUMENT', what, 'remove as many channels of each');
    }
    const units = counts[name];
    if (units === undefined) continue;
    if (mixer.kind === 'attention') {
      const kvHeads = units * headsPerUnit(mixer);
      Object.assign(widths, { kvHeads, heads: kvHeads * mixer.queries });
    } else if (mixer.kind === 'experts' && units > 0) {
      widths.experts = units;
    } else if (mixer.kind === 'convolution' || mixer.kind === 'delta') {
      if (units === 0) delete widths.mixer;
    } else {
      widths.ffn = units;
      delete widths.experts;
    }
  }
  return widths;
}

/** The architecture without those sublayers: the stream passes them by. */
export function withoutSites(
  architecture: Architecture,
  gone: readonly { block: number; site: Site }[],
): Architecture {
  const blocks = [...architecture.blocks];
  for (const { block, site } of gone) {
    blocks[block] = widthsOf({ ...architecture, blocks }, block, { [site]: 0 });
  }
  return { ...architecture, blocks };
}

/** The architecture without blocks of which nothing is left. */
export function withoutEmptyBlocks(architecture: Architecture): Architecture {
  const { blocks } = architecture;
  const left = ({ ffn, heads, mixer }: BlockWidths) => ffn > 0 || heads > 0 || mixer;
  return { ...architecture, blocks: blocks.filter(left) };
}

/** The sublayer of that site. */
export function sublayerAt(architecture: Architecture, block: number, site: Site): Sublayer {
  const outer = sublayersOf(architecture, block).find(({ name }) => name === outerSite(site));
  const found =
    outer?.name === site ? outer : outer && insideOf(outer).find(({ name }) => name === site);
  if (found === undefined)
    throw new StruPruneError('ERR_ARGUMENT', `block ${block} has no site ${site}`);
  return found;
}

function expand(groups: Int32Array, width: number): Int32Array {
  const indices = new Int32Array(groups.length * width);
  groups.forEach((group, position) => {
    for (let entry = 0; entry < width; entry++) {
      indices[position * width + entry] = group * width + entry;
    }
  });
  return indices;
}

function requireAscending(kept: Int32Array, count: number, where: string): void {
  let previous = -1;
  for (const index of kept) {
    if (index <= previous || index >= count) {
      throw new StruPruneError(
        'ERR_ARGUMENT',
        `${where}: kept index ${index} after ${previous}, of ${count} groups`,
        'give ascending indices of existing groups, each once',
      );
    }
    previous = index;
  }
}

function sumBlocks(
  architecture: Architecture,
  count: (shape: number[], unit: ShapedTensor['unit']) => number,
): number {
  return architecture.blocks
    .flatMap((_, block) => blockTensors(architecture, block))
    .reduce((sum, { shape, unit }) => sum + count(shape, unit), 0);
}
