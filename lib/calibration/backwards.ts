/**
 * Gradients of a text's NLL, block by block: one forward pass keeps the hidden states before every block in scratch files,
 * then gradients run back through the blocks; one block is in memory at a time.
 */
import type { Block } from '../engine/block';
import type { Matrix } from '../engine/matrix';
import { native } from '../engine/native';
import type { FisherLabels } from '../engine/native-ends';
import { disposeAll, using } from '../engine/owned';
import { nextTokens, type Session } from '../engine/session';
import { StruPruneError } from '../errors';

export interface BackwardOptions {
  /** Tokens of a window. */
  window: number;
  /** Default 'empirical'. */
  labels?: FisherLabels;
  /** Seed of sampled labels. Default 0. */
  seed?: number;
  /**
   * Folder for (blocks + 1) × ids × hidden × 4 bytes of scratch and the gradients, of which nothing is left
   * behind; '' keeps them in memory.
   */
  scratch: string;
  /** Blocks of the model; those of the session where it is left out. */
  load?: (index: number) => Promise<Block>;
  /** Hears of each of `stepsBack`, from 1. */
  report?: (done: number, message: string, block?: number) => void;
}

/** Before its backward pass, which is the visitor's: `gradient` is ∂(sum of the windows' NLL)/∂(its output). */
export interface BlockOnTheWayBack {
  index: number;
  block: Block;
  inputs: Matrix;
  gradient: Matrix;
}

/** The loss whose gradients were taken, with the labels that were used. */
export interface LabelledLoss {
  /** Nats per target. */
  meanNll: number;
  targets: number;
}

/** Every block forward and back, and the head. */
export function stepsBack({ architecture }: Pick<Session, 'architecture'>): number {
  return 2 * architecture.blocks.length + 1;
}

/**
 * Yields what `visit` does of every block, *last block first*, and returns the loss. `ids` holds token ids of whole windows.
 * Throws ERR_ARGUMENT (not one whole window), ERR_SCRATCH, ERR_NAN, ERR_BUDGET, ERR_ABORTED.
 */
export async function* backwards<Found>(
  session: Session,
  ids: Int32Array,
  options: BackwardOptions,
  visit: (passed: BlockOnTheWayBack) => AsyncGenerator<Found, void, void>,
): AsyncGenerator<Found, LabelledLoss, void> {
  const { window, scratch, report, load = (index) => session.loadBlock(index) } = options;
  const { engine, architecture } = session;
  const total = architecture.blocks.length;
  if (ids.length < window) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `${ids.length} tokens for gradients hold no whole window of ${window}`,
      'raise --survey-tokens or the calibration tokens, or lower --window',
    );
  }
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
      await using(await load(index), (block) =>
        session.advance(block, after, window, 'calibrating'),
      );
      report?.(index + 1, `forward for gradients, block ${index + 1} of ${total}`, index);
    }
    const loss = await using(states.pop()!, (hidden) =>
      headGradient(session, hidden, gradient, ids, options),
    );
    report?.(total + 1, 'gradient of the head');
    for (let index = total - 1; index >= 0; index--) {
      engine.throwIfAborted();
      await using inputs = states.pop()!;
      await using block = await load(index);
      yield* visit({ index, block, inputs, gradient });
      report?.(2 * total + 1 - index, `gradient of block ${index + 1} of ${total}`, index);
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
  { window, labels = 'empirical', seed = 0 }: BackwardOptions,
): Promise<LabelledLoss> {
  const targets = nextTokens(ids, window);
  const run = { purpose: 'calibrating', hidden, gradient, targets, labels, seed } as const;
  const loss = await session.ends.headGradient(run);
  return { meanNll: loss.nll / loss.targets, targets: loss.targets };
}
