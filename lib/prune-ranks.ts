/** The ranks of one prune (docs/scale-out.md): rank 0 runs it, and the others do their share of what it asks. */
import { statSync } from 'node:fs';
import { basename } from 'node:path';
import type { Engine } from './engine/engine';
import type { StageUse } from './engine/stage-clock';
import { StruPruneError } from './errors';
import type { ModelSource } from './model/architecture';
import { DenseDecoder } from './models/decoders/dense';
import { lossesWithout } from './models/decoders/depth';
import { followSolve } from './models/decoders/front-end';
import type { Order } from './models/decoders/orders';
import { openRun, type Run, type RunCalls, type Shared } from './models/decoders/run';
import type { Settings } from './options';
import { differenceOf, runIdentity } from './pruning/journal/identity';
import type { PruneResult } from './pruning/result';
import { surveyCurves } from './stages/curves';

/** Whose stage of rank 0's an order is of. */
const STAGES = {
  trials: 'survey',
  'trials without': 'allocate',
  solve: 'solve',
  stages: 'rest',
} as const satisfies Record<Exclude<Order['task'], 'end'>, string>;

/** What all ranks have done in each stage, as rank 0 asks. */
export async function stagesOfRanks({ engine: { team }, clock }: Run): Promise<StageUse[][]> {
  await team.ask({ task: 'stages' } satisfies Order);
  return team.gather(clock.stages());
}

/** All of a run that is not rank 0's. Nothing but scratch is written here. */
export async function helpPrune(
  engine: Engine,
  source: ModelSource,
  settings: Settings,
  calls: RunCalls,
  shared: Shared,
): Promise<PruneResult> {
  // Whether there is room for what is written is rank 0's to see to.
  const own = { ...settings, saveCalibration: undefined };
  const run = await openRun(engine, source, own, calls, shared, Number.POSITIVE_INFINITY);
  try {
    await requireAlike(run);
    const network = new DenseDecoder(run);
    for (;;) {
      const order = await engine.team.next<Order>();
      if (order.task === 'end') return order.result;
      run.clock.enter(STAGES[order.task]);
      if (order.task === 'trials') await surveyCurves({ network, survey: run.survey });
      else if (order.task === 'solve') await followSolve(run, order.removed);
      else if (order.task === 'stages') await engine.team.gather(run.clock.stages());
      else await lossesWithout(run, order.gone);
      run.clock.enter('rest');
    }
  } finally {
    run.session.dispose();
  }
}

/**
 * Whether all ranks would make the same bytes.
 * @throws StruPruneError ERR_ARGUMENT, on every rank, that says what differs
 */
export async function requireAlike(run: Run): Promise<void> {
  const { team } = run.engine;
  if (team.size === 1) return;
  const ranks = await team.gather(runIdentity({ ...run, hashes: filesOf(run.source) }));
  for (const [rank, identity] of ranks.entries()) {
    const difference = differenceOf(ranks[0]!, identity);
    if (difference === null) continue;
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `rank ${rank} differs from rank 0: ${difference}`,
      'start all ranks with the same command, on machines of one kind that see the same files',
    );
  }
}

/** In place of hashes, which rank 0 alone takes the time for: how long the files are. */
function filesOf({ files }: ModelSource): { name: string; sha256: string }[] {
  return files.map((file) => ({ name: basename(file), sha256: String(statSync(file).size) }));
}
