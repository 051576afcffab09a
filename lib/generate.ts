import { using } from './engine/engine';
import type { Session } from './engine/session';

/**
 * The likeliest continuation of a prompt, token by token, without cache: meant for the few tokens that show a
 * person what pruning did. Blocks are loaded once a token, so memory stays that of one block.
 */
export async function greedy(
  session: Session,
  prompt: readonly number[],
  count: number,
): Promise<number[]> {
  const ids = [...prompt];
  for (let i = 0; i < count; i++) {
    const window = ids.length;
    const best = await using(await session.embed(Int32Array.from(ids), window), async (hidden) => {
      await session.forward(hidden, window);
      return (await session.score(hidden, new Int32Array(window).fill(-1))).best;
    });
    ids.push(best[window - 1]!);
  }
  return ids.slice(prompt.length);
}
