import type { Architecture } from '../../model/architecture';
import { channelStructure } from '../../solver/structures/channels';
import { kvHeadStructure } from '../../solver/structures/kv-heads';
import type { Structure } from '../../solver/structures/types';
import type { Layer } from '../../spec/widths';

/** What a mask of the layer may look like. Rounding was the allocation's task: here a budget is met exactly. */
export function structureOf(
  { hidden, gated, headDim, blocks }: Architecture,
  layer: Layer,
): Structure {
  if (layer.site === 'ffn') return channelStructure({ channels: layer.groups, hidden, gated });
  const { heads, kvHeads } = blocks[layer.block]!;
  return kvHeadStructure({ kvHeads, heads, headDim, hidden });
}
