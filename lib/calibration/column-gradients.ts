/** First-order Taylor terms of a text's NLL: what it loses, to first order, with each column of an output map. */
import { disposeAll } from '../engine/owned';
import type { Session } from '../engine/session';
import type { Statistics } from '../engine/statistics';
import type { Site } from '../model/sublayers';
import {
  type BackwardOptions,
  type BlockOnTheWayBack,
  backwards,
  type LabelledLoss,
} from './backwards';

export interface BlockColumns {
  index: number;
  /** `[columns]` of the sites that were asked for: Σ_i W_ij ∂(sum of the windows' NLL)/∂W_ij over the outputs i. */
  columns: Record<Site, Float64Array>;
}

/** Yields those of every block, *last block first*, and returns the loss. Throws as `backwards`. */
export function columnGradients(
  session: Session,
  ids: Int32Array,
  { sites, ...options }: BackwardOptions & { sites: (index: number) => readonly Site[] },
): AsyncGenerator<BlockColumns, LabelledLoss, void> {
  return backwards(session, ids, options, (passed) =>
    blockColumns(session, passed, sites(passed.index), options.window),
  );
}

/** A factor of 1 on a column has just that gradient. */
async function* blockColumns(
  session: Session,
  { index, block, inputs, gradient }: BlockOnTheWayBack,
  sites: readonly Site[],
  window: number,
): AsyncGenerator<BlockColumns, void, void> {
  const sums: Record<Site, Statistics> = {};
  try {
    for (const site of sites) sums[site] = session.statistics(block.width(site), { gram: false });
    const factors = Object.fromEntries(sites.map((site) => [`${site}.out`, sums[site]!]));
    await block.backward({ purpose: 'calibrating', window, inputs, gradient, factors });
    const columns = Object.fromEntries(sites.map((site) => [site, sums[site]!.read().sums]));
    yield { index, columns };
  } finally {
    await disposeAll(Object.values(sums));
  }
}
