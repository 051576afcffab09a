import type { Architecture, ModelRole } from './architecture';
import { sublayersOf } from './blocks';
import { type BlockTensor, type Site, type Sublayer, tensorsOf, unitsOf } from './sublayers';

/** A tensor of a block with the lengths of its axes. */
export interface ShapedTensor extends BlockTensor {
  /** `[out, in]` or `[n]`. */
  shape: number[];
}

/** Block by block: a run asks for them hundreds of times. */
const known = new WeakMap<Architecture, (readonly ShapedTensor[])[]>();

/** Every tensor of a block, in the order of files. */
export function blockTensors(architecture: Architecture, block: number): readonly ShapedTensor[] {
  const blocks = known.get(architecture) ?? [];
  known.set(architecture, blocks);
  blocks[block] ??= sublayersOf(architecture, block).flatMap((sublayer) =>
    shapedTensors(sublayer, architecture.hidden),
  );
  return blocks[block];
}

/** Those of a sublayer. */
export function shapedTensors(sublayer: Sublayer, hidden: number): ShapedTensor[] {
  const { name, mixer } = sublayer;
  const units = unitsOf(sublayer);
  const channels = mixer.kind === 'experts' ? mixer.expert.width : 0;
  const count = (site: Site) => (site === name ? units : channels);
  return tensorsOf(sublayer, hidden).map((tensor) => ({
    ...tensor,
    shape: tensor.axes.map(({ site, per }) => (site === null ? per : per * count(site))),
  }));
}

/** Columns of the embedding and of the head, which in a few models is not the width of the states. */
export function embeddingWidth({
  hidden,
  embeddingProjection,
}: Pick<Architecture, 'hidden' | 'embeddingProjection'>): number {
  return embeddingProjection ?? hidden;
}

/** Columns of an FFN's inputs as its solver has them: biases are weights of a last column of ones. */
export function ffnInputs({ hidden, biases }: Pick<Architecture, 'hidden' | 'biases'>): number {
  return hidden + (biases.ffnIn ? 1 : 0);
}

/** Shapes of the tensors outside the blocks, in file order; a tied head is not among them. */
export function modelShapes(architecture: Architecture): Partial<Record<ModelRole, number[]>> {
  const { hidden, vocab, positionOffset, maxPositions, embeddingProjection } = architecture;
  const embedded = embeddingWidth(architecture);
  const shapes: Partial<Record<ModelRole, number[]>> = { embedding: [vocab, embedded] };
  if (positionOffset !== null) shapes.positions = [maxPositions + positionOffset, hidden];
  if (embeddingProjection !== null) {
    shapes.projectIn = [hidden, embedded];
    shapes.projectOut = [embedded, hidden];
  }
  if (architecture.finalNorm) {
    shapes.finalNorm = [hidden];
    if (architecture.norm.kind === 'layer') shapes.finalNormBias = [hidden];
  }
  if (!architecture.tiedEmbeddings) shapes.head = [vocab, embedded];
  return shapes;
}

export function elements(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}
