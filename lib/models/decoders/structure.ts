import { StruPruneError } from '../../errors';
import type { Architecture } from '../../model/architecture';
import { sublayerAt } from '../../model/groups';
import { headsPerUnit, unitsOf } from '../../model/sublayers';
import { channelStructure } from '../../solver/structures/channels';
import { kvHeadStructure } from '../../solver/structures/kv-heads';
import type { Structure } from '../../solver/structures/types';
import type { Layer } from '../../spec/widths';

/** What a mask of the layer may look like. Rounding was the allocation's task: here a budget is met exactly. */
export function structureOf(architecture: Architecture, layer: Layer): Structure {
  const { hidden } = architecture;
  const sublayer = sublayerAt(architecture, layer.block, layer.site);
  const { mixer } = sublayer;
  if (mixer.kind === 'ffn') {
    return channelStructure({ channels: mixer.width, hidden, gated: mixer.gated });
  }
  if (mixer.kind !== 'attention') {
    throw new StruPruneError('ERR_INTERNAL', `no mask is of ${layer.site}`);
  }
  // Heads that one norm joins are one to a mask.
  const kvHeads = unitsOf(sublayer);
  const headDim = headsPerUnit(mixer) * mixer.headDim;
  return kvHeadStructure({ kvHeads, heads: kvHeads * mixer.queries, headDim, hidden });
}
