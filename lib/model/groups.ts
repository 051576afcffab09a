import { StruPruneError } from '../errors';
import type { Architecture, BlockRole, BlockWidths } from './architecture';
import {
  type Axis,
  axisLength,
  BLOCK_AXES,
  blockRoles,
  blockShape,
  elements,
  modelShapes,
} from './axes';

/**
 * Coupled groups: the smallest sets of parameters that can only go together (docs/method.md). They
 * follow from the axes that a block's tensors share, so no family needs code of its own:
 *   ffn  channel j: row j of gate and up with their biases, column j of down
 *   kv   KV head g with its query heads: rows of q, k, v with their biases, columns of o
 */
export type GroupKind = 'ffn' | 'kv';

/** Indices of the groups that stay, ascending; a kind that is left out stays whole. */
export interface BlockKeep {
  ffn?: Int32Array;
  kv?: Int32Array;
}

/** Entries of a tensor that stay: `indices` along `axis` (0: rows, 1: columns). */
export interface Slice {
  axis: 0 | 1;
  indices: Int32Array;
}

const KIND_AXES: Record<GroupKind, readonly Axis[]> = { ffn: ['ffn'], kv: ['heads', 'kvHeads'] };

/** Number of groups in a block. */
export function groupCount(architecture: Architecture, block: number, kind: GroupKind): number {
  const widths = architecture.blocks[block]!;
  return kind === 'ffn' ? widths.ffn : widths.kvHeads;
}

/** Parameters of one group: c_g counts the weights of linear maps; biases are given apart. */
export function groupParameters(
  architecture: Architecture,
  block: number,
  kind: GroupKind,
): { weights: number; biases: number } {
  const groups = groupCount(architecture, block, kind);
  const sum = { weights: 0, biases: 0 };
  if (groups === 0) return sum;
  for (const role of blockRoles(architecture)) {
    if (axisOf(role, kind) === null) continue;
    const shape = blockShape(architecture, block, role);
    sum[shape.length === 2 ? 'weights' : 'biases'] += elements(shape) / groups;
  }
  return sum;
}

/**
 * What stays of every tensor that the kept groups cut; roles without an entry stay whole.
 * @throws StruPruneError ERR_ARGUMENT when kept indices are not ascending or out of range
 */
export function slicesFor(
  architecture: Architecture,
  block: number,
  keep: BlockKeep,
): Partial<Record<BlockRole, Slice>> {
  const slices: Partial<Record<BlockRole, Slice>> = {};
  for (const kind of ['ffn', 'kv'] as const) {
    const kept = keep[kind];
    if (kept === undefined) continue;
    requireAscending(kept, groupCount(architecture, block, kind), `block ${block}, ${kind}`);
    for (const role of blockRoles(architecture)) {
      const axis = axisOf(role, kind);
      if (axis === null) continue;
      const width = entriesPerGroup(architecture, block, BLOCK_AXES[role][axis]!);
      slices[role] = { axis, indices: expand(kept, width) };
    }
  }
  return slices;
}

/** Weights of all linear maps of all blocks: the denominator of sparsity S. */
export function linearParameters(architecture: Architecture): number {
  return sumBlocks(architecture, (shape) => (shape.length === 2 ? elements(shape) : 0));
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
  const blocks = keeps.map((keep, block) => prunedWidths(architecture, block, keep));
  return { ...architecture, blocks };
}

/** Widths of one block after pruning. @throws StruPruneError ERR_ARGUMENT as slicesFor */
export function prunedWidths(
  architecture: Architecture,
  block: number,
  { ffn, kv }: BlockKeep,
): BlockWidths {
  const widths = architecture.blocks[block]!;
  if (ffn !== undefined) requireAscending(ffn, widths.ffn, `block ${block}, ffn`);
  if (kv !== undefined) requireAscending(kv, widths.kvHeads, `block ${block}, kv`);
  return widthsOf(widths, { ffn: ffn?.length, kv: kv?.length });
}

/** Widths with that many groups of each kind; a kind that is left out stays whole. */
export function widthsOf(
  widths: BlockWidths,
  { ffn, kv: kvHeads = widths.kvHeads }: Partial<Record<GroupKind, number>>,
): BlockWidths {
  const queriesPerGroup = widths.kvHeads === 0 ? 0 : widths.heads / widths.kvHeads;
  return { ffn: ffn ?? widths.ffn, heads: kvHeads * queriesPerGroup, kvHeads };
}

/** The axis of a role that runs over groups of this kind; null when the role does not belong to them. */
function axisOf(role: BlockRole, kind: GroupKind): 0 | 1 | null {
  const axis = BLOCK_AXES[role].findIndex((name) => KIND_AXES[kind].includes(name));
  return axis === -1 ? null : (axis as 0 | 1);
}

function entriesPerGroup(architecture: Architecture, block: number, axis: Axis): number {
  const groups = groupCount(architecture, block, axis === 'ffn' ? 'ffn' : 'kv');
  return groups === 0 ? 0 : axisLength(architecture, block, axis) / groups;
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

function sumBlocks(architecture: Architecture, count: (shape: number[]) => number): number {
  const roles = blockRoles(architecture);
  return architecture.blocks.reduce(
    (total, _, block) =>
      roles.reduce((sum, role) => sum + count(blockShape(architecture, block, role)), total),
    0,
  );
}
