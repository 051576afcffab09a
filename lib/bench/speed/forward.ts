/** Our own forward pass of a prompt, of two models in turn. */

import type { BenchPace } from '../../documents/bench';
import { type Engine, roomWithoutLimit } from '../../engine/engine';
import { using } from '../../engine/owned';
import { AS_IS, Session } from '../../engine/session';
import { KeptBlocks } from '../../measure/kept-blocks';
import { forwardFlops } from '../../measure/perplexity';
import { paceOf } from './pace';
import type { Pair } from './pair';

/** Of the memory that there is for blocks, which stay loaded between rounds where they fit. */
const SHARE = 0.75;

export async function timeForward(
  engine: Engine,
  pair: Pair,
  { tokens, repeats, onRound }: { tokens: number; repeats: number; onRound: () => void },
): Promise<BenchPace> {
  const room = SHARE * roomWithoutLimit();
  const [dense, pruned] = await withSession(engine, pair[0], room / 2, (first) =>
    withSession(engine, pair[1], room, async (second) => {
      const seconds: [number[], number[]] = [[], []];
      for (let round = -1; round < repeats; round++) {
        for (const [i, pass] of [first, second].entries()) {
          engine.throwIfAborted();
          const taken = await pass(tokens);
          if (round >= 0) seconds[i]!.push(taken); // the one before warms up
        }
        onRound();
      }
      return seconds;
    }),
  );
  const [before, after] = pair.map(({ architecture }) =>
    forwardFlops(architecture, tokens, tokens),
  );
  return paceOf([dense, pruned], tokens, before! / after!);
}

/** Lends a pass of so many tokens through blocks and head, which returns its seconds. */
async function withSession<T>(
  engine: Engine,
  source: Pair[0],
  most: number,
  use: (pass: (tokens: number) => Promise<number>) => Promise<T>,
): Promise<T> {
  const session = new Session(engine, source, AS_IS, engine.overflow);
  const blocks = new KeptBlocks(session, most);
  try {
    return await use(async (tokens) => {
      const start = performance.now();
      const ids = anyTokens(tokens, source.architecture.vocab);
      await using(await session.embed(ids, tokens, 'measuring'), async (hidden) => {
        await session.forward(hidden, tokens, 'measuring', undefined, blocks.use);
        await session.score(hidden, new Int32Array(tokens).fill(-1));
      });
      return (performance.now() - start) / 1000;
    });
  } finally {
    await blocks.free();
    session.dispose();
  }
}

/** The work does not depend on them. The first ones of a vocabulary are often special. */
function anyTokens(count: number, vocab: number): Int32Array {
  return Int32Array.from({ length: count }, (_, i) => 16 + ((7 * i) % (vocab - 16)));
}
