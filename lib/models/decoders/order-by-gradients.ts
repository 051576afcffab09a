/** The order in which groups of all layers go by first-order importances: gradients of the model as it is pruned so far. */
import { stepsBack } from '../../calibration/backwards';
import { columnGradients } from '../../calibration/column-gradients';
import type { Block } from '../../engine/block';
import { orDispose } from '../../engine/owned';
import type { Session } from '../../engine/session';
import { type Kept, removalOrder, timesMeasured } from '../../masks/removal-order';
import { sumOverGroups } from '../../masks/statistics';
import { type OnStage, stageReporter } from '../../progress';
import { type Layer, layersIn } from '../../spec/widths';
import { sliceSite } from './slice';

export interface OrderInput {
  session: Session;
  /** Whole windows. */
  ids: Int32Array;
  window: number;
  layers: readonly Layer[];
  onProgress: OnStage | undefined;
}

/** `[layers][groups]`, as of `removalOrder`. Throws as `backwards`. */
export function orderByGradients(input: OrderInput): Promise<Float64Array[]> {
  const { session, ids, window, layers, onProgress } = input;
  const { scratch } = session;
  const steps = stepsBack(session);
  const times = timesMeasured(layers);
  const tell = stageReporter(onProgress, 'survey', times * steps);
  const sites = (index: number) => layersIn(layers, index).map(({ site }) => site);
  return removalOrder(layers, async (kept, nth) => {
    const load = (index: number) => loadCut(session, index, layers, kept);
    const report = (done: number, message: string, block?: number) =>
      tell((nth - 1) * steps + done, `${nth} of ${times}: ${message}`, block);
    const found = new Map<Layer, Float64Array>();
    const options = { window, scratch, sites, load, report };
    for await (const { index, columns } of columnGradients(session, ids, options)) {
      for (const layer of layersIn(layers, index)) {
        const { site, groupSize } = layer;
        found.set(layer, sumOverGroups(columns[site]!, groupSize).map(Math.abs));
      }
    }
    return layers.map((layer) => found.get(layer)!);
  });
}

/** A block without the groups that have gone. */
async function loadCut(
  session: Session,
  index: number,
  layers: readonly Layer[],
  kept: Kept,
): Promise<Block> {
  const block = await session.loadBlock(index);
  return orDispose(block, async () => {
    for (const [at, layer] of layers.entries()) {
      if (layer.block !== index || kept[at]!.length === layer.groups) continue;
      await sliceSite(session, index, block, layer, kept[at]!, null);
      await block.finish(layer.site);
    }
    return block;
  });
}
