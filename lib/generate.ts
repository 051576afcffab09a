import { using } from './engine/engine';
import { type BlockHandle, native } from './engine/native';
import type { Session, WithBlock } from './engine/session';

/**
 * The likeliest continuation of a prompt, token by token, without cache: meant for the few tokens that show a
 * person what pruning did. Blocks are loaded once a token, but for those that fit into 3/4 of `room`, bytes of the
 * engine's memory: they stay.
 */
export async function greedy(
  session: Session,
  prompt: readonly number[],
  count: number,
  room = 0,
): Promise<number[]> {
  const ids = [...prompt];
  const blocks = new KeptBlocks(session, 0.75 * room);
  try {
    for (let i = 0; i < count; i++) {
      const window = ids.length;
      const best = await using(
        await session.embed(Int32Array.from(ids), window),
        async (hidden) => {
          await session.forward(hidden, window, undefined, blocks.use);
          return (await session.score(hidden, new Int32Array(window).fill(-1))).best;
        },
      );
      ids.push(best[window - 1]!);
    }
  } finally {
    await blocks.free();
  }
  return ids.slice(prompt.length);
}

/** Blocks of a session, of which the first stay loaded as long as the engine holds no more than `most` bytes. */
class KeptBlocks {
  readonly #session: Session;
  readonly #most: number;
  readonly #kept: BlockHandle[] = [];

  constructor(session: Session, most: number) {
    this.#session = session;
    this.#most = most;
  }

  readonly use: WithBlock = async (index, work) => {
    const kept = this.#kept[index];
    if (kept) return work(kept);
    const block = await this.#session.loadBlock(index);
    if (index > this.#kept.length || this.#session.engine.memory.used > this.#most) {
      return using(block, work);
    }
    this.#kept.push(block);
    return work(block);
  };

  async free(): Promise<void> {
    for (const block of this.#kept.splice(0)) await native.free(block);
  }
}
