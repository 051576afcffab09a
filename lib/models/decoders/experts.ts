/** A layer's turn where whole experts go: they are summed over the states, some are kept, and the states go on. */
import type { Block } from '../../engine/block';
import type { Matrix } from '../../engine/matrix';
import { using } from '../../engine/owned';
import type { Session } from '../../engine/session';
import type { ExpertSums, ExpertTrial } from '../../masks/experts';
import type { Architecture } from '../../model/architecture';
import { sublayerAt } from '../../model/groups';
import type { Layer } from '../../spec/widths';

export function choosesExperts(architecture: Architecture, { block, site }: Layer): boolean {
  return sublayerAt(architecture, block, site).mixer.kind === 'experts';
}

/** Of the sums of so many experts. */
export function expertColumns(experts: number): number {
  return 3 * experts + 2;
}

/** Passes of the states, which stay as they are, through a layer without some of its experts. */
export function trialOf(
  session: Session,
  block: Block,
  { site, groups }: Layer,
  hidden: Matrix,
  window: number,
): ExpertTrial {
  return (gone) =>
    using(session.statistics(expertColumns(groups), { gram: false }), async (statistics) => {
      session.engine.throwIfAborted();
      const run = { purpose: 'calibrating', window, hidden, statistics, gone } as const;
      await block.sumExperts(site, run);
      return expertSums(statistics.read().sums, groups);
    });
}

function expertSums(sums: Float64Array, experts: number): ExpertSums {
  const part = (index: number) => sums.slice(index * experts, (index + 1) * experts);
  const [error, energy] = sums.subarray(3 * experts) as unknown as [number, number];
  return { norms: part(0), tokens: part(1), growth: part(2), error, energy };
}
