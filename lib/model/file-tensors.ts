import type { Architecture, TensorRef } from './architecture';
import { blockTensors, elements, type ShapedTensor } from './axes';
import { blockTensorName, isStacked, type TensorNames } from './family';

/** A block's tensor as a file has it. */
export interface FileTensor {
  name: string;
  /** As stored: `[in, out]` where it is transposed, `[experts, out, in]` where it has several of them, `[in]` of one row where files are flat. */
  shape: number[];
  /** A matrix whose rows are the columns of its parts. */
  transposed: boolean;
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
    const shape = [rowsOf(parts), ...parts[0]!.shape.slice(1)];
    const transposed = names.transposed === true && shape.length === 2;
    if (isStacked(names, parts[0]!.role)) {
      const experts = new Set(parts.map(({ unit }) => unit!.index)).size;
      shape.splice(0, 1, experts, shape[0]! / experts);
    }
    if (names.flat && shape.length === 2 && shape[0] === 1) shape.shift();
    return { name, parts, transposed, shape: transposed ? shape.toReversed() : shape };
  });
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
  { parts, transposed }: Pick<FileTensor, 'transposed'> & { parts: readonly { shape: number[] }[] },
): TensorRef[] {
  if (parts.length === 1 && !transposed) return [{ ...whole, shape: parts[0]!.shape }];
  const { shape, bytes, offset, scales } = whole;
  const lines = rowsOf(parts);
  const ofLine = lines === 0 ? 0 : bytes / lines;
  // Of a transposed matrix a line is a column, whose first entry lies in the first row.
  const step = transposed ? bytes / Math.max(1, elements(shape)) : ofLine;
  let first = 0;
  return parts.map((part) => {
    const ref: TensorRef = {
      ...whole,
      shape: part.shape,
      offset: offset + first * step,
      bytes: part.shape[0]! * ofLine,
      ...(transposed && { storedColumns: lines }),
      ...(scales && { scales: { ...scales, row: scales.row + first } }),
    };
    first += part.shape[0]!;
    return ref;
  });
}
