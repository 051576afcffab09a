import { orGone } from './depth';
import type { Choices } from './types';
import { type AllocationLayer, widths } from './widths';

/** All that may become of a layer. `index`: for messages. @throws StruPruneError ERR_INTERNAL where its curve is too short */
export function choicesFor(layer: AllocationLayer, index: number): Choices {
  const site = widths(layer, index);
  return layer.gone === undefined ? site : orGone(site, layer.gone);
}
