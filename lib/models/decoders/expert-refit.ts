/** The refit of experts that stay: their output maps, one after the other, give what is missing of the layer's output. */
import type { Block } from '../../engine/block';
import type { Matrix } from '../../engine/matrix';
import type { RidgeReport } from '../../engine/native-solver';
import { using } from '../../engine/owned';
import type { Session } from '../../engine/session';
import { LAMBDA, ridgeOfExpert } from '../../solver/ridge';
import type { Layer } from '../../spec/widths';
import type { ExpertStates } from './experts';
import { withSolver } from './site-solver';

/** How often each expert has its turn in a refit (docs/decisions/0036). */
export const EXPERT_ROUNDS = 2;

/**
 * Refits the output maps of the experts of a layer that was cut, one after the other, each exactly for what is missing of the
 * output with the others as they are. `residual`: what is missing, before and afterwards.
 */
export async function refitExperts(
  session: Session,
  block: Block,
  { site: layer }: Pick<Layer, 'site'>,
  states: ExpertStates & { residual: Matrix },
  lambda: number | undefined,
): Promise<RidgeReport> {
  const { scratch, stored, architecture, engine } = session;
  const [experts] = block.shape(`${layer}.router`)!;
  const run = { purpose: 'calibrating', ...states } as const;
  let back: number | undefined;
  let most: RidgeReport = { lambda: lambda ?? LAMBDA, ridgeRaised: 0 };
  for (let turn = 0; turn < EXPERT_ROUNDS * experts; turn++) {
    engine.throwIfAborted();
    const out = turn % experts;
    const site = `${layer}.${out}`;
    const width = block.width(site);
    const sums = { gram: true, residual: architecture.hidden, scratch, over: states.hidden };
    await using(session.statistics(width, sums), async (statistics) => {
      await block.turnExpert(layer, { ...run, back, out, statistics });
      const everything = new Uint8Array(width).fill(1);
      const map = { site, groupSize: 1 };
      const { tokens } = statistics.read();
      // One that no token is routed to stays as it is.
      if (tokens === 0) return;
      const ridge = ridgeOfExpert(lambda, { columns: width, tokens });
      await withSolver(ridge, block, map, { statistics, metric: null }, async (solver) => {
        using refit = await solver.refit(everything, { bias: false, stored: stored.matrices });
        await block.setOutput(site, refit);
        if (refit.ridgeRaised > most.ridgeRaised) most = refit;
      });
    });
    back = out;
  }
  await block.turnExpert(layer, { ...run, back });
  return { lambda: most.lambda, ridgeRaised: most.ridgeRaised };
}
