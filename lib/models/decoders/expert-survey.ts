/** The dense model's experts on calibration tokens: sums of what is inside each, and trials without some of them. */
import type { Block } from '../../engine/block';
import { using } from '../../engine/owned';
import type { Session } from '../../engine/session';
import { ALONE } from '../../engine/team';
import { expertAt, outerSite, type Site } from '../../model/sublayers';
import { type OnStage, stageReporter } from '../../progress';
import { isWhole, type Layer, layersIn, widthOf } from '../../spec/widths';
import type { VisitExpertSite } from '../front-end';
import { shareOfTrials } from './batches';
import { calibrationStates } from './calibration-states';
import { copyOf } from './copy';
import { refitExperts } from './expert-refit';
import { type ExpertStates, trialOf } from './experts';
import type { Probe } from './probe';
import { withSolver } from './site-solver';

export interface ExpertVisits {
  session: Session;
  window: number;
  layers: readonly Layer[];
  /** As it was asked for. */
  lambda: number | undefined;
  /** Tries the model out without some experts of each layer; null: it is not tried. */
  probe: Probe | null;
  onProgress: OnStage | undefined;
}

/** Block after block; the states of `ids` go on through the dense model. */
export async function visitExperts(
  about: ExpertVisits,
  ids: Int32Array,
  visit: VisitExpertSite,
): Promise<void> {
  const { session, window, layers, probe, onProgress } = about;
  const { scratch, engine, architecture } = session;
  const total = architecture.blocks.length;
  const tried = probe ? layers.filter(isWhole) : [];
  const { ends, steps } = shareOfTrials(tried, total, ALONE);
  const report = stageReporter(onProgress, 'survey', total + steps);
  let done = 0;
  await using(await calibrationStates(session, ids, window, scratch), async (hidden) => {
    for (let index = 0; index < total; index++) {
      engine.throwIfAborted();
      await using(await session.loadBlock(index), async (block) => {
        for (const site of block.sites) {
          const own = layersIn(layers, index).filter((layer) => outerSite(layer.site) === site);
          const goOn = async () => {
            if (own.length > 0) await probe?.hold();
            await session.advanceSite(block, site, hidden, window, 'calibrating');
            await probe?.advance(block, site);
          };
          if (own.length === 0) {
            await goOn();
            continue;
          }
          await using(await copyOf(session, hidden, scratch), async (before) => {
            await goOn();
            // It is the block's last: a refit may leave it as it will.
            await visitLayer(about, block, site, own, { window, hidden: before }, visit);
          });
        }
      });
      report(++done, `block ${index + 1} of ${total}`, index);
      if (!ends.includes(index)) continue;
      await probe?.runOn(index + 1, (step) => report(++done, step));
    }
  });
}

/** `own`: the experts, and those inside. */
async function visitLayer(
  { session, layers, lambda, probe }: ExpertVisits,
  block: Block,
  outer: Site,
  own: readonly Layer[],
  states: Omit<ExpertStates, 'residual'>,
  visit: VisitExpertSite,
): Promise<void> {
  const { scratch } = session;
  for (const layer of own.filter(({ site }) => site !== outer)) {
    session.engine.throwIfAborted();
    await using(session.statistics(widthOf(layer), { gram: true, scratch }), async (statistics) => {
      const out = expertAt(layer.site)!;
      await block.turnExpert(outer, { purpose: 'calibrating', ...states, out, statistics });
      // What nothing is routed to loses nothing.
      if (statistics.read().tokens === 0) return;
      await withSolver(lambda, block, layer, { statistics, metric: null }, (solver) =>
        visit(layers.indexOf(layer), { by: 'gram', solver }),
      );
    });
  }
  const whole = own.find(isWhole)!;
  const { rows, cols, pageRows } = states.hidden;
  await using(session.matrix(rows, cols, pageRows, scratch), async (residual) => {
    const missing = { ...states, residual };
    const trial = trialOf(session, block, whole, missing);
    const refitted = async (gone: Int32Array) => {
      await trial(gone);
      const all = Int32Array.from({ length: whole.groups }, (_, expert) => expert);
      await block.keepExperts(
        outer,
        all.filter((expert) => !gone.includes(expert)),
      );
      await refitExperts(session, block, whole, missing, lambda);
      if (probe) {
        await block.finish(outer);
        await probe.startWith(layers.indexOf(whole), block, outer);
      }
      return residual.energy();
    };
    await visit(layers.indexOf(whole), { by: 'trials', trial, refitted });
  });
}
