import { type Architecture, BLOCK_ROLES, type BlockRole, type ModelRole } from './architecture';

/** What an axis of a block's tensor runs over. Shapes and coupled groups both follow from it. */
export type Axis = 'hidden' | 'ffn' | 'heads' | 'kvHeads' | 'headDim';

/** Axes of every role, slowest first. Heads are runs of head_dim entries. */
export const BLOCK_AXES: Record<BlockRole, readonly Axis[]> = {
  attnNorm: ['hidden'],
  attnNormBias: ['hidden'],
  q: ['heads', 'hidden'],
  qBias: ['heads'],
  k: ['kvHeads', 'hidden'],
  kBias: ['kvHeads'],
  v: ['kvHeads', 'hidden'],
  vBias: ['kvHeads'],
  qNorm: ['headDim'],
  kNorm: ['headDim'],
  o: ['hidden', 'heads'],
  oBias: ['hidden'],
  ffnNorm: ['hidden'],
  ffnNormBias: ['hidden'],
  gate: ['ffn', 'hidden'],
  gateBias: ['ffn'],
  up: ['ffn', 'hidden'],
  upBias: ['ffn'],
  down: ['hidden', 'ffn'],
  downBias: ['hidden'],
};

/** Entries of an axis in one block. */
export function axisLength(architecture: Architecture, block: number, axis: Axis): number {
  const widths = architecture.blocks[block]!;
  switch (axis) {
    case 'hidden':
      return architecture.hidden;
    case 'ffn':
      return widths.ffn;
    case 'heads':
      return widths.heads * architecture.headDim;
    case 'kvHeads':
      return widths.kvHeads * architecture.headDim;
    case 'headDim':
      return architecture.headDim;
  }
}

/** Roles that every block of this architecture has, in file order. */
export function blockRoles(architecture: Architecture): BlockRole[] {
  const { biases, gated, qkNorm, norm } = architecture;
  const layerNorm = norm.kind === 'layer';
  const present: Record<BlockRole, boolean> = {
    attnNorm: true,
    attnNormBias: layerNorm,
    q: true,
    qBias: biases.qkv,
    k: true,
    kBias: biases.qkv,
    v: true,
    vBias: biases.qkv,
    qNorm: qkNorm,
    kNorm: qkNorm,
    o: true,
    oBias: biases.o,
    ffnNorm: true,
    ffnNormBias: layerNorm,
    gate: gated,
    gateBias: gated && biases.ffnIn,
    up: true,
    upBias: biases.ffnIn,
    down: true,
    downBias: biases.down,
  };
  return BLOCK_ROLES.filter((role) => present[role]);
}

/** Shape of a role's tensor in one block: `[out, in]` or `[n]`. */
export function blockShape(architecture: Architecture, block: number, role: BlockRole): number[] {
  return BLOCK_AXES[role].map((axis) => axisLength(architecture, block, axis));
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
