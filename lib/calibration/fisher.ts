/**
 * The Fisher metric of every site (docs/method.md, section 5): G = (1/n) Σ δδᵀ with δ = ∂(sum of the window's
 * NLL)/∂y, y being what the site adds to the residual stream.
 */
import type { Block } from '../engine/block';
import { disposeAll } from '../engine/owned';
import type { Session } from '../engine/session';
import type { Statistics } from '../engine/statistics';
import type { Site } from '../model/sublayers';
import { type OnStage, stageReporter } from '../progress';
import {
  type BackwardOptions,
  type BlockOnTheWayBack,
  backwards,
  type LabelledLoss,
  stepsBack,
} from './backwards';

export interface FisherOptions extends Omit<BackwardOptions, 'report'> {
  /** Sites of a block whose inputs are summed on the way. Default none. */
  sites?: (index: number) => readonly Site[];
  /** Reports the stage 'survey'. */
  onProgress?: OnStage;
}

/** One block on the way back. Its objects live until the next one is asked for. */
export interface BlockFisher {
  index: number;
  block: Block;
  /** Gradients at each site's output: `gram` ÷ `tokens` is G `[hidden, hidden]`, nats². */
  gradients: Record<Site, Statistics>;
  /** Inputs of the output maps of the sites that were asked for, with their Gram matrices. */
  sums: Record<Site, Statistics>;
}

/**
 * Yields the metrics of every block, *last block first*, and returns the loss. `ids` holds token ids of whole
 * windows.
 * Throws ERR_ARGUMENT (not one whole window), ERR_SCRATCH, ERR_NAN, ERR_BUDGET, ERR_ABORTED.
 */
export function fisherMetrics(
  session: Session,
  ids: Int32Array,
  { onProgress, sites, ...options }: FisherOptions,
): AsyncGenerator<BlockFisher, LabelledLoss, void> {
  const report = stageReporter(onProgress, 'survey', stepsBack(session));
  return backwards(session, ids, { ...options, report }, (passed) =>
    blockMetric(session, passed, sites?.(passed.index) ?? [], options),
  );
}

/** Takes the gradient through a block and yields what it leaves there. */
async function* blockMetric(
  session: Session,
  { index, block, inputs, gradient }: BlockOnTheWayBack,
  sites: readonly Site[],
  { window, scratch }: BackwardOptions,
): AsyncGenerator<BlockFisher, void, void> {
  const { architecture } = session;
  const held: Statistics[] = [];
  const statistics = (width: number) => {
    const made = session.statistics(width, { gram: true, scratch });
    held.push(made);
    return made;
  };
  try {
    const gradients: BlockFisher['gradients'] = {};
    for (const site of block.sites) gradients[site] = statistics(architecture.hidden);
    const sums: BlockFisher['sums'] = {};
    for (const site of sites) sums[site] = statistics(block.width(site));
    await block.backward({
      purpose: 'calibrating',
      window,
      inputs,
      gradient,
      sums: Object.fromEntries(
        block.sites.map((site) => [site, { output: gradients[site], input: sums[site] }]),
      ),
    });
    yield { index, block, gradients, sums };
  } finally {
    await disposeAll(held);
  }
}
