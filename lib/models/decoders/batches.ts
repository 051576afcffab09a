/** Which trials run on together, and on which rank. */
import type { Team } from '../../engine/team';
import { type Layer, layersIn } from '../../spec/widths';

/** Trials that run on together at most. */
export const TOGETHER = 8;

/** What a rank does of the trials of all `layers`. */
export interface ShareOfTrials {
  /** Those that it tries out, and those between them that nobody does. */
  layers: Layer[];
  /** The blocks behind which they run on. */
  ends: number[];
  /** Steps that its `Probe.runOn` tells of. */
  steps: number;
}

/** Of a rank: whole batches of those that are `tried`. All ranks come to the same sharing by themselves. */
export function shareOfTrials(
  layers: readonly Layer[],
  blocks: number,
  { rank, size }: Pick<Team, 'rank' | 'size'>,
  tried: (layer: Layer) => boolean = () => true,
): ShareOfTrials {
  const ends = batchEnds(layers.filter(tried), blocks);
  const batches = ends.map((end, i) => {
    const before = ends[i - 1] ?? -1;
    return layers.filter(({ block }) => before < block && block <= end);
  });
  const steps = ends.map((end) => stepsFrom(end + 1, blocks));
  const owners = ownersOf(
    batches.map((batch, i) => batch.filter(tried).length * steps[i]!),
    size,
  );
  const isMine = (_: unknown, i: number) => owners[i] === rank;
  return {
    layers: batches.filter(isMine).flat(),
    ends: ends.filter(isMine),
    steps: steps.filter(isMine).reduce((sum, one) => sum + one, 0),
  };
}

/** Whose each piece of work is: the longest goes first, to the rank that has least so far (Graham 1969). */
export function ownersOf(costs: readonly number[], ranks: number): number[] {
  const loads = new Array<number>(ranks).fill(0);
  const owners = new Array<number>(costs.length);
  for (const at of [...costs.keys()].sort((a, b) => costs[b]! - costs[a]!)) {
    const least = loads.indexOf(Math.min(...loads));
    owners[at] = least;
    loads[least]! += costs[at]!;
  }
  return owners;
}

/** The blocks after which the trials so far run on: as many layers as may go together, or the last block. */
export function batchEnds(layers: readonly Layer[], blocks: number): number[] {
  const layersOf = (block: number) => layersIn(layers, block).length;
  const ends: number[] = [];
  let started = 0;
  for (let block = 0; block < blocks; block++) {
    started += layersOf(block);
    if (started === 0) continue;
    if (block < blocks - 1 && started + layersOf(block + 1) <= TOGETHER) continue;
    ends.push(block);
    started = 0;
  }
  return ends;
}

/** Steps that `Probe.runOn` tells of: the blocks from `next` on, and the predictions. */
export function stepsFrom(next: number, blocks: number): number {
  return blocks - next + 1;
}
