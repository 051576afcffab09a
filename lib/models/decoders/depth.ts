/** What a decoder loses without a whole sublayer, by trial (docs/method.md, section 5). */
import { using } from '../../engine/owned';
import { withoutSites } from '../../model/groups';
import { stageReporter } from '../../progress';
import { holdsOutput } from '../../spec/planned';
import { layerAt } from '../../spec/widths';
import { batchEnds, Probe, stepsFrom } from './probe';
import type { DecoderRun } from './run';

/**
 * Nats per token that the model loses more without each layer, those of `gone` being gone; null of these, and where the output
 * could not hold it.
 */
export async function lossesWithout(
  run: DecoderRun,
  gone: readonly number[],
): Promise<(number | null)[]> {
  const { session, layers, ids, window, settings, onProgress } = run;
  const { scratch } = settings;
  const offered = layers.filter((_, at) => !gone.includes(at) && holdsOutput(run, [...gone, at]));
  const total = session.architecture.blocks.length;
  const ends = batchEnds(offered, total);
  const steps = ends.reduce((sum, end) => sum + stepsFrom(end + 1, total), total);
  const report = stageReporter(onProgress, 'depth', steps);
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
          if (at !== -1 && offered.includes(layers[at]!)) await probe.startWithout(at);
          await probe.advance(block, site);
        }
      });
      report(++done, `${gone.length} gone: block ${index + 1} of ${total}`, index);
      if (!ends.includes(index)) continue;
      await probe.runOn(index + 1, (step) => report(++done, `${gone.length} gone: ${step}`));
    }
    const before = await probe.loss();
    return layers.map((layer, at) => (offered.includes(layer) ? probe.losses[at]! - before : null));
  } finally {
    await probe.dispose();
  }
}
