import type { Layer } from '../../spec/widths';

/** FFNs at either end of the model that are all tried out. */
const ENDS = 3;
/** Between them every so-many-th is. */
const EVERY = 3;

/**
 * Layers whose errors get their prices by trials. From block to block the price of an FFN's error goes smoothly, so that those
 * between two trials follow from them; attention's does not (docs/decisions/0045-fewer-trials.md).
 */
export function triedLayers(layers: readonly Layer[]): ReadonlySet<Layer> {
  const ffns = layers.filter(({ site }) => site === 'ffn');
  const left = ffns.filter((_, i) => {
    const inside = ENDS <= i && i < ffns.length - ENDS;
    return inside && (i - ENDS + 1) % EVERY !== 0;
  });
  const untried = new Set(left);
  return new Set(layers.filter((layer) => !untried.has(layer)));
}
