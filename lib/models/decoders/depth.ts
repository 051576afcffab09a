/** What a decoder loses without a whole sublayer, by trial (docs/method.md, section 5). */
import { using } from '../../engine/owned';
import { withoutSites } from '../../model/groups';
import { stageReporter } from '../../progress';
import { holdsOutput } from '../../spec/planned';
import { layerAt } from '../../spec/widths';
import { shareOfTrials } from './batches';
import type { Order } from './orders';
import { Probe } from './probe';
import type { Run } from './run';

/**
 * Nats per token that the model loses more without each layer, those of `gone` being gone; null of these, and where the output
 * could not hold it.
 */
export async function lossesWithout(run: Run, gone: readonly number[]): Promise<(number | null)[]> {
  const { session, layers, ids, window, settings, onProgress } = run;
  const { scratch } = settings;
  const { team } = session.engine;
  await team.ask({ task: 'trials without', gone } satisfies Order);
  const offered = layers.filter((_, at) => !gone.includes(at) && holdsOutput(run, [...gone, at]));
  const total = session.architecture.blocks.length;
  const share = shareOfTrials(offered, total, team);
  const report = stageReporter(onProgress, 'depth', total + share.steps);
  let done = 0;
  const architecture = withoutSites(
    session.architecture,
    gone.map((at) => layers[at]!),
  );
  const about = { window, layers: layers.length, scratch, architecture };
  const probe = await Probe.make(session, ids, about);
  try {
    for (let index = 0; index < total; index++) {
      session.engine.throwIfAborted();
      await using(await session.loadBlock(index, architecture), async (block) => {
        for (const site of block.sites) {
          const at = layerAt(layers, index, site);
          if (at !== -1 && share.layers.includes(layers[at]!)) await probe.startWithout(at);
          await probe.advance(block, site);
        }
      });
      report(++done, `${gone.length} gone: block ${index + 1} of ${total}`, index);
      if (!share.ends.includes(index)) continue;
      await probe.runOn(index + 1, (step) => report(++done, `${gone.length} gone: ${step}`));
    }
    const before = await probe.loss();
    const own = share.layers.map((layer) => {
      const at = layers.indexOf(layer);
      return [at, probe.losses[at]! - before] as const;
    });
    const all = new Map((await team.gather(own)).flat());
    return layers.map((_, at) => all.get(at) ?? null);
  } finally {
    await probe.dispose();
  }
}
