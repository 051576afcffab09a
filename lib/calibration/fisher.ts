/**
 * The Fisher metric of every site (docs/method.md, section 5): G = (1/n) Σ δδᵀ with δ = ∂(sum of the window's
 * NLL)/∂y, y being what the site adds to the residual stream. One forward pass keeps the hidden states before
 * every block in scratch files, then gradients run back through the blocks; one block is in memory at a time.
 */
import type { Block } from '../engine/block';
import type { Matrix } from '../engine/matrix';
import { native } from '../engine/native';
import type { FisherLabels } from '../engine/native-ends';
import { disposeAll, using } from '../engine/owned';
import { nextTokens, type Session } from '../engine/session';
import type { Statistics } from '../engine/statistics';
import { StruPruneError } from '../errors';
import type { Site } from '../model/sublayers';
import { type OnStage, stageReporter } from '../progress';

export interface FisherOptions {
  /** Tokens of a window. */
  window: number;
  /** Sites of a block whose inputs are summed on the way. Default none. */
  sites?: (index: number) => readonly Site[];
  /** Default 'empirical'. */
  labels?: FisherLabels;
  /** Seed of sampled labels. Default 0. */
  seed?: number;
  /**
   * Folder for (blocks + 1) × ids × hidden × 4 bytes of scratch and the gradients, of which nothing is left
   * behind; '' keeps them in memory.
   */
  scratch: string;
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

/** The loss whose gradients were taken, with the labels that were used. */
export interface FisherLoss {
  /** Nats per target. */
  meanNll: number;
  targets: number;
}

/**
 * Yields the metrics of every block, *last block first*, and returns the loss. `ids` holds token ids of whole
 * windows.
 * Throws ERR_ARGUMENT (not one whole window), ERR_SCRATCH, ERR_NAN, ERR_BUDGET, ERR_ABORTED.
 */
export async function* fisherMetrics(
  session: Session,
  ids: Int32Array,
  options: FisherOptions,
): AsyncGenerator<BlockFisher, FisherLoss, void> {
  const { window, scratch, onProgress } = options;
  const { engine, architecture } = session;
  const total = architecture.blocks.length;
  if (ids.length < window) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `${ids.length} tokens for the Fisher metric hold no whole window of ${window}`,
      'raise --survey-tokens or the calibration tokens, or lower --window',
    );
  }
  const report = stageReporter(onProgress, 'survey', 2 * total + 1);
  /** Hidden states before every block still to come, and after the last one. */
  const states: Matrix[] = [];
  const gradient = session.matrix(
    ids.length,
    architecture.hidden,
    native.pageRows(window),
    scratch,
  );
  try {
    states.push(await session.embed(ids, window, 'calibrating', scratch));
    for (let index = 0; index < total; index++) {
      engine.throwIfAborted();
      const { rows, cols } = states[index]!;
      const after = session.matrix(rows, cols, native.pageRows(window), scratch);
      states.push(after);
      await states[index]!.copyTo(after);
      await using(await session.loadBlock(index), (block) =>
        session.advance(block, after, window, 'calibrating'),
      );
      report(index + 1, `forward for gradients, block ${index + 1} of ${total}`, index);
    }
    const loss = await using(states.pop()!, (hidden) =>
      headGradient(session, hidden, gradient, ids, options),
    );
    report(total + 1, 'gradient of the head');
    for (let index = total - 1; index >= 0; index--) {
      engine.throwIfAborted();
      yield* blockMetric(session, index, states.pop()!, gradient, options);
      report(2 * total + 1 - index, `gradient of block ${index + 1} of ${total}`, index);
    }
    return loss;
  } finally {
    await disposeAll([gradient, ...states]);
  }
}

async function headGradient(
  session: Session,
  hidden: Matrix,
  gradient: Matrix,
  ids: Int32Array,
  { window, labels = 'empirical', seed = 0 }: FisherOptions,
): Promise<FisherLoss> {
  const targets = nextTokens(ids, window);
  const run = { purpose: 'calibrating', hidden, gradient, targets, labels, seed } as const;
  const loss = await session.ends.headGradient(run);
  return { meanNll: loss.nll / loss.targets, targets: loss.targets };
}

/** Takes the gradient through a block and yields what it leaves there; `inputs` are disposed of in the end. */
async function* blockMetric(
  session: Session,
  index: number,
  inputs: Matrix,
  gradient: Matrix,
  { window, scratch, sites }: FisherOptions,
): AsyncGenerator<BlockFisher, void, void> {
  const { architecture } = session;
  const statistics = (width: number) => session.statistics(width, { gram: true, scratch });
  const held: AsyncDisposable[] = [inputs];
  const hold = <O extends AsyncDisposable>(owned: O): O => {
    held.push(owned);
    return owned;
  };
  try {
    const block = hold(await session.loadBlock(index));
    const gradients: BlockFisher['gradients'] = {};
    for (const site of block.sites) gradients[site] = hold(statistics(architecture.hidden));
    const sums: BlockFisher['sums'] = {};
    for (const site of sites?.(index) ?? []) {
      sums[site] = hold(statistics(block.width(site)));
    }
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
