import type { Architecture } from './architecture';
import type { NormSpec, Sublayer } from './sublayers';

/** The sublayers of a block in the order in which they run. */
export function sublayersOf(architecture: Architecture, block: number): Sublayer[] {
  const { norm, biases, headDim, queryScalar, qkNorm, gated, activation } = architecture;
  const { ffn, heads, kvHeads, global } = architecture.blocks[block]!;
  const queries = kvHeads === 0 ? 1 : heads / kvHeads;
  const { kind, eps, placement } = norm;
  const own: NormSpec = { kind, eps };
  const norms = {
    norm: placement === 'post' ? null : own,
    streamNorm: placement === 'post' ? own : null,
    outNorm: placement === 'sandwich' ? own : null,
  };
  return [
    {
      name: 'attention',
      mixer: {
        kind: 'attention',
        kvHeads,
        queries,
        headDim,
        rope: global ? architecture.globalRope : architecture.rope,
        slidingWindow: global ? 0 : architecture.slidingWindow,
        headNorm: qkNorm ? { kind: 'rms', eps } : null,
        scale: queryScalar === null ? null : 1 / Math.sqrt(queryScalar),
      },
      ...norms,
      biases: { in: biases.qkv, out: biases.o },
    },
    {
      name: 'ffn',
      mixer: { kind: 'ffn', width: ffn, activation, gated },
      ...norms,
      biases: { in: biases.ffnIn, out: biases.down },
    },
  ];
}
