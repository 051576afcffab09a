/**
 * Value heads that share a key head are neighbours in Hugging Face's files, and in llama.cpp's as many apart as there are key heads, so that
 * key heads repeat one after the other.
 */
import type { Architecture } from './architecture';
import type { BlockRole } from './sublayers';

/** Heads of a tensor that are written in another order than the source has them. */
export interface HeadOrder {
  /** Of every head that is written, its place in the source. */
  heads: number[];
  /** Of a matrix; of a vector its entries are rows. */
  axis: 'rows' | 'columns';
  /** What lies in front of them and stays. */
  first: number;
  /** Rows or columns of a head. */
  each: number;
}

/** The same model with its value heads in the order of such files. */
export function inOrder(architecture: Architecture, tiled: boolean): Architecture {
  const { delta } = architecture;
  if (!delta) return architecture;
  return {
    ...architecture,
    delta: { ...delta, tiled: tiled && delta.valueHeads > delta.keyHeads },
  };
}

/** undefined: it is written as it lies. */
export function headOrderOf(
  role: BlockRole,
  { delta: source }: Architecture,
  { delta: output }: Architecture,
): HeadOrder | undefined {
  if (!source || !output || source.tiled === output.tiled) return undefined;
  const { keyHeads, valueHeads, keyDim, valueDim, kernel } = source;
  const [inner, outer] = source.tiled
    ? [valueHeads / keyHeads, keyHeads]
    : [keyHeads, valueHeads / keyHeads];
  const heads = Array.from(
    { length: valueHeads },
    (_, at) => (at % inner) * outer + Math.floor(at / inner),
  );
  const order = { heads, axis: 'rows', first: 0, each: valueDim } as const;
  switch (role) {
    case 'delta.v':
    case 'delta.outGate':
      return order;
    case 'delta.beta':
    case 'delta.alpha':
    case 'delta.decay':
    case 'delta.step':
      return { ...order, each: 1 };
    case 'delta.kernel':
      return { ...order, first: 2 * keyHeads * keyDim * kernel, each: valueDim * kernel };
    case 'delta.out':
      return { ...order, axis: 'columns' };
    default:
      return undefined;
  }
}
