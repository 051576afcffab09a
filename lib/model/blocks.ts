import type { Architecture, BlockWidths } from './architecture';
import {
  type ExpertsSpec,
  type FeedForwardSpec,
  type NormSpec,
  type Site,
  type Sublayer,
  unitsOf,
} from './sublayers';

/** The sublayers of a block in the order in which they run. One without units is not there. */
export function sublayersOf(architecture: Architecture, block: number): Sublayer[] {
  const { norm, biases, headDim, queryScalar, scoreCap, sinks, qkNorm, routing } = architecture;
  const { gated, activation, clampedGate: clamp, parallel } = architecture;
  const widths = architecture.blocks[block]!;
  const { ffn, experts = 0, heads, kvHeads, global, unturned } = widths;
  const rope = (global && architecture.globalRope) || architecture.rope;
  const queries = kvHeads === 0 ? 1 : heads / kvHeads;
  const { kind, eps, placement } = norm;
  const own: NormSpec = { kind, eps };
  const norms = {
    norm: placement === 'pre' || placement === 'sandwich' ? own : null,
    streamNorm: placement === 'post' ? own : null,
    outNorm: placement === 'sandwich' || placement === 'behind' ? own : null,
  };
  const channels = (width: number): FeedForwardSpec => ({
    kind: 'ffn',
    width,
    activation,
    gated,
    clamp,
  });
  const sublayers: Sublayer[] = [
    ...otherMixer(architecture, widths, own).map((sublayer) => ({ ...sublayer, ...norms })),
    {
      name: 'attention',
      mixer: {
        kind: 'attention',
        kvHeads,
        queries,
        headDim,
        rope: unturned ? null : rope,
        slidingWindow: global ? 0 : architecture.slidingWindow,
        headNorm: qkNorm ? { kind: 'rms', eps } : null,
        normJoinsHeads: qkNorm === 'heads',
        scale: queryScalar === null ? null : 1 / Math.sqrt(queryScalar),
        cap: scoreCap,
        sinks,
        gated: architecture.gatedAttention,
      },
      ...norms,
      biases: { in: biases.qkv, out: biases.o },
      input: parallel ? 'kept' : null,
    },
    {
      ...(routing && experts > 0
        ? { name: 'experts', mixer: expertsOf(routing, experts, channels(ffn)) }
        : { name: 'ffn', mixer: channels(ffn) }),
      ...norms,
      biases: { in: biases.ffnIn, out: biases.down },
      input: parallel ? 'read' : null,
    },
  ];
  return sublayers.filter((sublayer) => unitsOf(sublayer) > 0);
}

/** What a block has in the place of attention. */
function otherMixer(
  { hidden, convolution, delta }: Architecture,
  { mixer }: BlockWidths,
  { eps }: NormSpec,
): Pick<Sublayer, 'name' | 'mixer' | 'biases' | 'input'>[] {
  if (mixer === 'convolution' && convolution) {
    const { kernel, bias } = convolution;
    const spec = { kind: mixer, width: hidden, kernel };
    return [{ name: mixer, mixer: spec, biases: { in: bias, out: bias }, input: null }];
  }
  if (mixer === 'delta' && delta) {
    const spec = { kind: mixer, ...delta, eps };
    return [{ name: mixer, mixer: spec, biases: { in: false, out: false }, input: null }];
  }
  return [];
}

function expertsOf(
  { bias: routerBias, sharedWidth, ...routing }: NonNullable<Architecture['routing']>,
  count: number,
  expert: FeedForwardSpec,
): ExpertsSpec {
  const shared = sharedWidth > 0 ? { ...expert, width: sharedWidth } : null;
  return { kind: 'experts', count, ...routing, routerBias, expert, shared };
}

/** The sites of a block in the order in which they run. */
export function sitesOf(architecture: Architecture, block: number): Site[] {
  return sublayersOf(architecture, block).map(({ name }) => name);
}
