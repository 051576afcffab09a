import type { Block } from '../engine/block';
import { disposeAll, using } from '../engine/owned';
import type { Session, WithBlock } from '../engine/session';

/** Blocks of a session, of which the first stay loaded as long as the engine holds no more than `most` bytes. */
export class KeptBlocks {
  readonly #session: Session;
  readonly #most: number;
  readonly #kept: Block[] = [];

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
    await disposeAll(this.#kept.splice(0));
  }
}
