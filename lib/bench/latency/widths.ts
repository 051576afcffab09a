/** Which widths are timed. */
import type { AllocationFunction } from '../../allocation/own';
import { StruPruneError } from '../../errors';
import type { Site } from '../../model/sublayers';
import type { Layer } from '../../spec/widths';

/** So many units of one kind of site in every block. */
export interface Width {
  site: Site;
  units: number;
}

/** Shares of the units that stay; where there are few, as of KV heads, every number from the least on. */
const SHARES = [0.8, 0.6, 0.4, 0.2];

/** @throws StruPruneError ERR_UNSUPPORTED where blocks differ, or nothing may go */
export function widthsToTime(layers: readonly Layer[]): {
  /** Of the dense model, by site. */
  units: Record<Site, number>;
  widths: Width[];
} {
  const units: Record<Site, number> = {};
  const widths: Width[] = [];
  for (const site of new Set(layers.map((layer) => layer.site))) {
    const mine = layers.filter((layer) => layer.site === site);
    const { groups, allowed } = mine[0]!;
    if (mine.some((layer) => layer.groups !== groups)) {
      throw new StruPruneError(
        'ERR_UNSUPPORTED',
        `the blocks of this model differ in width (${site}), so that no table by one width holds for it`,
        'time the model that it was made of',
      );
    }
    units[site] = groups;
    widths.push(...timed(groups, allowed).map((kept) => ({ site, units: kept })));
  }
  if (widths.length > 0) return { units, widths };
  throw new StruPruneError(
    'ERR_UNSUPPORTED',
    'no site of this model can be narrower',
    'give a model with FFN channels or KV heads that may go',
  );
}

/** Numbers of units that stay, descending. `allowed`: that may go, ascending, the first one 0. */
function timed(groups: number, allowed: Int32Array): number[] {
  const possible = [...allowed.subarray(1)].map((removed) => groups - removed);
  if (possible.length <= SHARES.length) return possible;
  const nearest = (wanted: number) =>
    possible.reduce((best, kept) =>
      Math.abs(kept - wanted) < Math.abs(best - wanted) ? kept : best,
    );
  return [...new Set(SHARES.map((share) => nearest(share * groups)))];
}

/** The allocation that leaves a width everywhere. */
export function leaving({ site, units }: Width): AllocationFunction {
  return (layers) => layers.map(({ scope, groups }) => (scope === site ? groups - units : 0));
}
