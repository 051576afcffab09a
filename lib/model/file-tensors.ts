import type { Architecture, TensorRef } from './architecture';
import { blockTensors, elements, type ShapedTensor } from './axes';
import { blockTensorName, isStacked, type TensorNames } from './family';
import { siteOf } from './sublayers';

/** How a stored tensor holds its parts. */
export interface Arrangement {
  /** A matrix whose rows are the columns of its parts. */
  transposed: boolean;
  /** It holds as many experts, each with its own parts. */
  experts: number;
  /** In how many turns the parts of an expert have their rows, or entries of vectors, as many in each; 0: one part follows the other. */
  turns: number;
}

/** One part, as it is. */
export const WHOLE: Arrangement = { transposed: false, experts: 1, turns: 0 };

/** A block's tensor as a file has it. */
export interface FileTensor extends Arrangement {
  name: string;
  /** As stored: `[in, out]` where it is transposed, `[experts, …]` where it has several of them, `[channels, 1, kernel]`; where files are flat without axes of one entry. */
  shape: number[];
  /** The tensors of the block that it holds, one after the other along their first axis. */
  parts: ShapedTensor[];
}

/**
 * Every tensor that a file has of a block, in the order of files; roles of one name are parts of one tensor.
 * @param place of the block in the file, which may lack some of the architecture's
 */
export function fileTensors(
  architecture: Architecture,
  names: TensorNames,
  block: number,
  place = block,
): FileTensor[] {
  const byName = new Map<string, ShapedTensor[]>();
  for (const tensor of blockTensors(architecture, block)) {
    const name = blockTensorName(names, tensor.role, place);
    byName.set(name, [...(byName.get(name) ?? []), tensor]);
  }
  return [...byName].map(([name, parts]) => {
    const { role, shape, kernel } = parts[0]!;
    const stacked = isStacked(names, role);
    const experts = stacked ? new Set(parts.map(({ unit }) => unit!.index)).size : 1;
    const whole = kernel
      ? [shape[0]! / kernel, 1, kernel]
      : [rowsOf(parts) / experts, ...shape.slice(1)];
    const isMatrix = whole.length === 2;
    const stored = names.flat ? flattened(whole) : whole;
    const transposed =
      isMatrix && (names.transposed === 'experts' ? stacked : names.transposed === true);
    if (transposed) stored.reverse();
    return {
      name,
      parts,
      transposed,
      experts,
      turns: parts.length > experts ? turnsOf(names, parts[0]!, architecture) : 0,
      shape: stacked ? [experts, ...stored] : stored,
    };
  });
}

/** Where parts of a tensor take turns: row by row, or by heads; a delta rule's by key heads. */
function turnsOf(
  names: TensorNames,
  { role, shape }: ShapedTensor,
  { headDim, delta }: Architecture,
): number {
  if (isStacked(names, role)) return names.alternating === 'rows' ? shape[0]! : 0;
  if (names.alternating !== 'heads' || names.alternate?.includes(role) === false) return 0;
  const site = siteOf(role);
  if (site === 'attention') return shape[0]! / headDim;
  return site === 'delta' ? delta!.keyHeads : 0;
}

/** Without axes of one entry in front of the last. */
function flattened(shape: readonly number[]): number[] {
  return shape.filter((length, axis) => length !== 1 || axis === shape.length - 1);
}

function rowsOf(parts: readonly { shape: number[] }[]): number {
  return parts.reduce((sum, { shape }) => sum + shape[0]!, 0);
}

/**
 * Where the parts of a stored tensor lie in it.
 * @param whole of `shape` as stored; bytes of a vector's entries, or of a matrix' rows, must be whole
 */
export function partRefs(
  whole: TensorRef,
  { parts, transposed, experts, turns }: Arrangement & { parts: readonly { shape: number[] }[] },
): TensorRef[] {
  if (parts.length === 1 && !transposed) return [{ ...whole, shape: parts[0]!.shape }];
  const { shape, bytes, offset, scales } = whole;
  const lines = rowsOf(parts) / experts;
  const ofExpert = bytes / experts;
  const ofLine = lines === 0 ? 0 : ofExpert / lines;
  // Of a transposed matrix a line is a column, whose first entry lies in the first row.
  const step = transposed ? bytes / Math.max(1, elements(shape)) : ofLine;
  return groupsOf(parts, experts).flatMap((group, expert) => {
    let next = 0;
    return group.map((part): TensorRef => {
      const first = next;
      const run = part.shape[0]! / (turns || 1);
      next += run;
      return {
        ...whole,
        shape: part.shape,
        offset: offset + expert * ofExpert + first * step,
        bytes: part.shape[0]! * ofLine,
        ...(transposed && { storedColumns: lines }),
        ...(turns > 0 && { step: lines / turns, run }),
        ...(scales && { scales: { ...scales, row: scales.row + expert * lines + first } }),
      };
    });
  });
}

/** The parts of each expert, of all where there is one. */
export function groupsOf<T>(parts: readonly T[], experts: number): T[][] {
  const each = parts.length / experts;
  return Array.from({ length: experts }, (_, i) => parts.slice(i * each, (i + 1) * each));
}
