import type { Architecture } from './architecture';
import type { NormSpec, Sublayer } from './sublayers';

/** The sublayers of a block in the order in which they run. */
export function sublayersOf(architecture: Architecture, block: number): Sublayer[] {
  const { norm, biases, headDim, rope, slidingWindow, qkNorm, gated, activation } = architecture;
  const { ffn, heads, kvHeads } = architecture.blocks[block]!;
  const queries = kvHeads === 0 ? 1 : heads / kvHeads;
  const { kind, eps, placement } = norm;
  const norms = {
    norm: placement === 'pre' ? { kind, eps } : null,
    streamNorm: placement === 'post' ? { kind, eps } : null,
  };
  const headNorm: NormSpec | null = qkNorm ? { kind: 'rms', eps } : null;
  return [
    {
      name: 'attention',
      mixer: { kind: 'attention', kvHeads, queries, headDim, rope, slidingWindow, headNorm },
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
