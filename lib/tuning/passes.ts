/**
 * Passes over a model of which one block is in memory at a time: the dense model's predictions, and how far those of the
 * pruned one are from them, with the gradient of its factors. Hidden states alone are kept between blocks, in scratch.
 */
import type { Block } from '../engine/block';
import type { ExpectedHead } from '../engine/ends';
import type { Matrix } from '../engine/matrix';
import { native } from '../engine/native';
import { disposeAll, orDispose, using } from '../engine/owned';
import type { Session } from '../engine/session';
import type { Statistics } from '../engine/statistics';
import { meanOfTokens } from '../engine/token-values';
import { embeddingWidth } from '../model/axes';
import type { BlockRole } from '../model/sublayers';
import { type ChangeGradient, summingChanges } from './changes';
import { factorsAt, type Place } from './factors';
import type { Tuning } from './tuning';

/** A block of a model; the receiver disposes of it. */
export type LoadBlock = (index: number) => Promise<Block>;

/** How a model is read. */
export interface Reading {
  /** Has the model's ends. */
  session: Session;
  load: LoadBlock;
  window: number;
  /** Folder for hidden states; '' = in memory. */
  scratch: string;
  /** Hears of every block that was read. */
  onBlock?: (index: number) => void;
}

/** Whole windows, and what the dense model predicts there. */
export interface Lesson {
  ids: Int32Array;
  dense: ExpectedHead;
}

/** What the model predicts: one reading of it. The receiver disposes of `dense.mean`. */
export async function lessonOf(reading: Reading, ids: Int32Array): Promise<Lesson> {
  const { session, window, scratch } = reading;
  const { ends, architecture } = session;
  const mean = session.matrix(
    ids.length,
    embeddingWidth(architecture),
    native.pageRows(window),
    scratch,
  );
  return orDispose(mean, async () =>
    using(await session.embed(ids, window, 'measuring', scratch), async (hidden) => {
      await eachBlock(reading, (block) => session.advance(block, hidden, window, 'measuring'));
      const negativeEntropy = await ends.expectHead(hidden, mean, 'measuring');
      return { ids, dense: { mean, negativeEntropy } };
    }),
  );
}

/** Some windows of a lesson; a copy, of which the receiver disposes of `dense.mean`. */
export async function partOf(
  { session, window, scratch }: Pick<Reading, 'session' | 'window' | 'scratch'>,
  { ids, dense }: Lesson,
  windows: readonly number[],
): Promise<Lesson> {
  const tokens = windows.length * window;
  const { cols, pageRows } = dense.mean;
  const mean = session.matrix(tokens, cols, pageRows, scratch);
  const part = {
    ids: new Int32Array(tokens),
    dense: { mean, negativeEntropy: new Float64Array(tokens) },
  };
  return orDispose(mean, async () => {
    for (const [place, index] of windows.entries()) {
      const [from, to] = [index * window, place * window];
      part.ids.set(ids.subarray(from, from + window), to);
      part.dense.negativeEntropy.set(dense.negativeEntropy.subarray(from, from + window), to);
      const rows = { from, to, count: window };
      await dense.mean.copyTo(mean, rows);
    }
    return part;
  });
}

/** Mean KL(dense ‖ the model) of every lesson, nats per token, and the mean NLL of other windows: one reading. */
export async function measure(
  reading: Reading,
  lessons: readonly Lesson[],
  check: { ids: Int32Array; targets: Int32Array },
): Promise<{ divergences: number[]; meanNll: number }> {
  const { session, window, scratch } = reading;
  const { ends } = session;
  const states: Matrix[] = [];
  try {
    for (const { ids } of [...lessons, check]) {
      states.push(await session.embed(ids, window, 'measuring', scratch));
    }
    await eachBlock(reading, async (block) => {
      for (const hidden of states) await session.advance(block, hidden, window, 'measuring');
    });
    const { nll } = await session.score(states.at(-1)!, check.targets);
    const divergences: number[] = [];
    for (const [i, lesson] of lessons.entries()) {
      const kl = await ends.divergenceFrom(lesson.dense, states[i]!, 'measuring');
      divergences.push(meanOfTokens([kl], window));
    }
    return { divergences, meanNll: meanOfTokens([nll], window) };
  } finally {
    await disposeAll(states);
  }
}

export interface Gradients {
  /** Mean KL(dense ‖ the model), nats per token. */
  divergence: number;
  /** By the logarithm of every factor. */
  gradient: Float64Array;
}

/**
 * A pass forward and one back: two readings. `learn` hears of the gradient by a block's changes, of which no more than
 * those of the block at hand are kept.
 */
export async function gradientsOf(
  reading: Reading,
  { factors: places, logs, changes, valuesOf }: Tuning,
  lesson: Lesson,
  learn: (block: number, gradient: ChangeGradient) => Promise<void>,
): Promise<Gradients> {
  const { session, window, scratch } = reading;
  const { architecture, ends } = session;
  const tokens = lesson.ids.length;
  const gradient = new Float64Array(places.count);
  /** Before every block still to come, and after the last one. */
  const states: Matrix[] = [];
  const make = () => session.matrix(tokens, architecture.hidden, native.pageRows(window), scratch);
  const flow = make();
  try {
    states.push(await session.embed(lesson.ids, window, 'calibrating', scratch));
    await eachBlock(reading, async (block) => {
      const before = states.at(-1)!;
      const after = make();
      states.push(after);
      await before.copyTo(after);
      await session.advance(block, after, window, 'calibrating');
    });
    const { finalNorm } = places;
    const sum = await using(states.pop()!, (hidden) =>
      summing(session, finalNorm ? [finalNorm] : [], gradient, (sums) =>
        ends.divergenceGradient({
          purpose: 'calibrating',
          ...lesson.dense,
          hidden,
          gradient: flow,
          ...sums,
        }),
      ),
    );
    const divergence = sum / tokens;
    const run = { purpose: 'calibrating', window, gradient: flow } as const;
    const backwards = async (block: Block, index: number) =>
      using(states.pop()!, (inputs) =>
        summing(session, places.blocks[index] ?? [], gradient, async (factors) => {
          const own = changes[index] ?? [];
          if (own.length === 0) return block.backward({ ...run, inputs, factors });
          const change = { places: own, values: await valuesOf(index) };
          const scales = (role: BlockRole) => {
            const place = places.blocks[index]?.find((place) => place.role === role);
            return place ? factorsAt(logs, place) : null;
          };
          const numbers = await summingChanges(session, change, scales, (changes) =>
            block.backward({ ...run, inputs, factors, changes }),
          );
          for (let i = 0; i < numbers.length; i++) numbers[i]! /= tokens;
          const sizes: number[] = [];
          for (const { role } of own) sizes.push(await block.rootMeanSquare(role));
          return learn(index, { numbers, sizes });
        }),
      );
    await eachBlock(reading, backwards, architecture.blocks.length - 1);
    return { divergence, gradient: gradient.map((g) => g / tokens) };
  } finally {
    await disposeAll([flow, ...states]);
  }
}

/** Visits all blocks in order; from the last one back where that is given. */
async function eachBlock(
  { session, load, onBlock }: Reading,
  visit: (block: Block, index: number) => Promise<void>,
  last?: number,
): Promise<void> {
  const { length } = session.architecture.blocks;
  for (let i = 0; i < length; i++) {
    session.engine.throwIfAborted();
    const index = last === undefined ? i : last - i;
    await using(await load(index), (block) => visit(block, index));
    onBlock?.(index);
  }
}

/** Lends sums of every place's factors by role, and keeps what they came to in `gradient`. */
async function summing<Role extends string, T>(
  session: Session,
  places: readonly Place<Role>[],
  gradient: Float64Array,
  use: (sums: Record<Role, Statistics>) => Promise<T>,
): Promise<T> {
  const made = places.map((place) => ({
    ...place,
    sums: session.statistics(place.count, { gram: false }),
  }));
  try {
    const byRole = Object.fromEntries(made.map(({ role, sums }) => [role, sums]));
    const result = await use(byRole as Record<Role, Statistics>);
    for (const { at, sums } of made) gradient.set(sums.read().sums, at);
    return result;
  } finally {
    await disposeAll(made.map(({ sums }) => sums));
  }
}
