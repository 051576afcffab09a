/**
 * Takes the hidden states through a block that the journal holds, by the very products that they went through when
 * it was solved: those of the finished site or, where the solve kept activations of the whole width, these, of which the
 * kept columns meet the finished output map. (The others would give the same numbers up to rounding only, and another
 * output.)
 */

import type { Block } from '../../engine/block';
import { using } from '../../engine/owned';
import { sitesOf } from '../../model/blocks';
import type { BlockKeep } from '../../model/groups';
import { outerSite, type Site } from '../../model/sublayers';
import { type Layer, widthOf } from '../../spec/widths';
import { isOfExperts } from './experts';
import { keptColumns } from './slice';
import {
  dropSite,
  refitsInputs,
  runsAgain,
  type SolveContext,
  solvesSequentially,
  sumsOf,
} from './solve';

/** `finished` loads the block as the journal has it; `solved`: layers of it that were not left as they are. */
export async function replayBlock(
  context: SolveContext,
  index: number,
  keep: BlockKeep,
  solved: readonly Layer[],
  finished: () => Promise<Block>,
): Promise<void> {
  const { session, streams } = context;
  const { window } = streams;
  for (const site of sitesOf(session.architecture, index)) {
    // Of experts one stands for all.
    const layer = solved.find((one) => outerSite(one.site) === site) ?? null;
    if (layer && keep[layer.site]!.length === 0) {
      await dropSite(context, layer);
      continue;
    }
    if (streams.hidden) await replaySite(context, index, site, keep, layer, finished);
    if (streams.dense) {
      await using(await session.loadBlock(index), (block) =>
        session.advanceSite(block, site, streams.dense!, window, 'calibrating'),
      );
    }
  }
  await using(await finished(), (block) =>
    session.advance(block, streams.check, window, 'measuring'),
  );
}

async function replaySite(
  context: SolveContext,
  index: number,
  site: Site,
  keep: BlockKeep,
  layer: Layer | null,
  finished: () => Promise<Block>,
): Promise<void> {
  const { session, spec, streams } = context;
  const { window } = streams;
  const hidden = streams.hidden!;
  const sequential = solvesSequentially(spec);
  if (layer === null || (sequential && runsAgain(context, layer))) {
    await using(await finished(), (block) =>
      session.advanceSite(block, site, hidden, window, 'calibrating'),
    );
    return;
  }
  const run = { purpose: 'calibrating', window, hidden, alpha: 0, beta: 0 } as const;
  if (!sequential) {
    const { architecture } = session;
    const inputs = refitsInputs(spec, architecture, layer);
    // The sums of experts are no part of such a run.
    const repeats = isOfExperts(architecture, layer) ? undefined : { ...sumsOf(context), inputs };
    await using(await session.loadBlock(index), (block) =>
      block.run(site, { ...run, advance: true, repeats }),
    );
    return;
  }
  const inputs = session.matrixBeside(hidden, widthOf(layer), session.scratch);
  await using(inputs, async (kept) => {
    await using(await session.loadBlock(index), (block) =>
      block.run(site, { ...run, advance: false, keep: kept }),
    );
    const columns = keptColumns(session, index, site, keep[site]!);
    await using(await finished(), (block) =>
      block.apply(site, kept, columns, hidden, 'calibrating'),
    );
  });
}
