/** A layer's turn where whole experts go: some are kept, their output maps are refitted, and the states go on. */
import type { Block } from '../../engine/block';
import type { Matrix } from '../../engine/matrix';
import type { RidgeReport } from '../../engine/native-solver';
import { disposeAll, using } from '../../engine/owned';
import type { Session } from '../../engine/session';
import type { ExpertTrial } from '../../masks/experts';
import { LAMBDA, ridgeOfExpert } from '../../solver/ridge';
import type { Layer } from '../../spec/widths';
import type { Chosen, Shrunk, Sums } from '../front-end';
import { type ExpertStates, refitsExperts, trialOf } from './experts';
import { withSolver } from './site-solver';
import { copyOf, cutSite, type SolveContext, solvesSequentially } from './solve';

/** How often each expert has its turn in a refit (docs/decisions/0036). */
export const EXPERT_ROUNDS = 2;

/** Measures the layer's experts on the run's own hidden states, has some chosen, refits them and takes the states on. */
export async function chooseExperts<C extends Chosen>(
  { session, spec, streams }: SolveContext,
  index: number,
  block: Block,
  layer: Layer,
  choose: (sums: Sums) => Promise<C>,
): Promise<Shrunk<C>> {
  const { window, scratch } = streams;
  const hidden = streams.hidden!;
  const { rows, cols, pageRows } = hidden;
  const sequential = solvesSequentially(spec);
  const goOn = () => session.advanceSite(block, layer.site, hidden, window, 'calibrating');
  const made: Matrix[] = [];
  const hold = (matrix: Matrix) => {
    made.push(matrix);
    return matrix;
  };
  try {
    const residual = refitsExperts(spec)
      ? hold(session.matrix(rows, cols, pageRows, session.scratch))
      : null;
    // Else the states are behind the layer before it is refitted.
    const stay = !residual || sequential;
    const inputs = stay ? hidden : hold(await copyOf(session, hidden, scratch));
    const states = { window, hidden: inputs, residual };
    const measure = trialOf(session, block, layer, states);
    let energy = 0;
    const trial: ExpertTrial = async (gone) => {
      const sums = await measure(gone);
      energy = sums.energy;
      return sums;
    };
    const chosen = await choose({ by: 'trials', trial });
    if (!sequential) await goOn();
    await cutSite(session, index, block, layer, chosen);
    let fit: Shrunk<C>['fit'] = null;
    if (residual) {
      const report = await refitExperts(
        session,
        block,
        layer,
        { ...states, residual },
        spec.refit.lambda,
      );
      const relativeError = energy > 0 ? (await residual.energy()) / energy : 0;
      fit = { relativeError, ...report, inputRefit: null };
    }
    await block.finish(layer.site);
    if (sequential) await goOn();
    return { chosen, fit };
  } finally {
    await disposeAll(made);
  }
}

/**
 * Refits the output maps of the experts of a layer that was cut, one after the other, each exactly for what is missing of the
 * output with the others as they are. `residual`: what is missing, before and afterwards.
 */
async function refitExperts(
  session: Session,
  block: Block,
  { site: layer }: Layer,
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
    const sums = { gram: true, residual: architecture.hidden, scratch };
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
