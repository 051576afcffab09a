/** Whole experts as sites: which layers have them, and how one is measured without some. */
import type { Block } from '../../engine/block';
import type { Matrix } from '../../engine/matrix';
import { using } from '../../engine/owned';
import type { Session } from '../../engine/session';
import type { ExpertSums, ExpertTrial } from '../../masks/experts';
import type { Architecture } from '../../model/architecture';
import { sublayerAt } from '../../model/groups';
import { outerSite } from '../../model/sublayers';
import type { RunSpec } from '../../spec';
import type { Layer } from '../../spec/widths';

/** Whether whole experts are the groups. */
export function choosesExperts(architecture: Architecture, { block, site }: Layer): boolean {
  return sublayerAt(architecture, block, site).mixer.kind === 'experts';
}

/** Whether those are, or channels inside one. */
export function isOfExperts(architecture: Architecture, layer: Layer): boolean {
  return choosesExperts(architecture, { ...layer, site: outerSite(layer.site) });
}

/** Whether the output maps of those that stay are refitted. */
export function refitsExperts({ refit }: Pick<RunSpec, 'refit'>): boolean {
  return refit.output === 'exact';
}

/** Of the sums of so many experts. */
export function expertColumns(experts: number): number {
  return 3 * experts + 2;
}

/** Calibration tokens on their way through a layer. */
export interface ExpertStates {
  window: number;
  /** Before the layer; they stay as they are. */
  hidden: Matrix;
  /** Receives what is missing of the layer's output; null: nothing does. */
  residual: Matrix | null;
}

/** Passes of the states through a layer without some of its experts. */
export function trialOf(
  session: Session,
  block: Block,
  { site, groups }: Layer,
  { window, hidden, residual }: ExpertStates,
): ExpertTrial {
  const sums = { gram: false, over: hidden };
  return (gone) =>
    using(session.statistics(expertColumns(groups), sums), async (statistics) => {
      session.engine.throwIfAborted();
      const states = { window, hidden, residual: residual ?? undefined };
      await block.sumExperts(site, { purpose: 'calibrating', statistics, gone, ...states });
      return expertSums(statistics.read().sums, groups);
    });
}

function expertSums(sums: Float64Array, experts: number): ExpertSums {
  const part = (index: number) => sums.slice(index * experts, (index + 1) * experts);
  const [error, energy] = sums.subarray(3 * experts) as unknown as [number, number];
  return { norms: part(0), tokens: part(1), growth: part(2), error, energy };
}
