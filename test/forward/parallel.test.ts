/** Attention and FFN that read the block's input side by side: which states keep it, whose it is, and for how long. */
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { Engine } from '../../lib/engine/engine';
import type { Matrix } from '../../lib/engine/matrix';
import { disposeAll, using } from '../../lib/engine/owned';
import { Session } from '../../lib/engine/session';
import { withoutSites } from '../../lib/model/groups';
import type { Site } from '../../lib/model/sublayers';
import { MODELS } from '../model/fixture';

const WINDOW = 16;
const IDS = Int32Array.from({ length: 4 * WINDOW }, (_, i) => (i * 37) % 256);

interface Held {
  session: Session;
  embed(): Promise<Matrix>;
  /** `gone`: what the block lacks; `firstRows` alone. */
  pass(
    states: Matrix,
    block: number,
    site: Site,
    more?: { gone?: Site; firstRows?: number },
  ): Promise<void>;
}

const passing = (name: string, work: (t: ExecutionContext, held: Held) => Promise<void>) =>
  test(name, async (t) => {
    const engine = new Engine({ threads: 2 });
    const session = new Session(engine, await openCheckpoint(join(MODELS, 'gpt-neox')));
    const made: Matrix[] = [];
    await work(t, {
      session,
      embed: async () => {
        made.push(await session.embed(IDS, WINDOW, 'measuring'));
        return made.at(-1)!;
      },
      pass: async (states, index, site, { gone, firstRows } = {}) => {
        const { architecture } = session;
        const has = gone
          ? withoutSites(architecture, [{ block: index, site: gone }])
          : architecture;
        await using(await session.loadBlock(index, has), (block) =>
          session.advanceSite(block, site, states, WINDOW, 'measuring', { firstRows }),
        );
      },
    });
    await disposeAll(made);
    session.dispose();
    engine.dispose();
  });

const values = (states: Matrix) => states.read(0, states.rows);

passing(
  'a block without attention reads what states were before it, if they passed it',
  async (t, held) => {
    const { embed, pass } = held;
    const [whole, apart, past] = [await embed(), await embed(), await embed()];
    for (const site of ['attention', 'ffn']) await pass(whole, 1, site);
    // As the dense model's states beside a pruned block.
    await pass(apart, 1, 'attention', { gone: 'ffn' });
    await pass(apart, 1, 'ffn', { gone: 'attention' });
    t.deepEqual(values(apart), values(whole));
    await pass(past, 1, 'ffn', { gone: 'attention' });
    t.notDeepEqual(values(past), values(whole));
  },
);

passing(
  "what was kept is one block's, and gone behind its FFN and with new states",
  async (t, held) => {
    const { session, embed, pass } = held;
    const read = async (before: (states: Matrix) => Promise<void>) => {
      const [states, plain] = [await embed(), await embed()];
      await before(states);
      plain.write(0, values(states));
      for (const each of [states, plain]) await pass(each, 2, 'ffn', { gone: 'attention' });
      t.deepEqual(values(states), values(plain));
    };
    await read((states) => pass(states, 1, 'attention'));
    await read(async (states) => {
      for (const site of ['attention', 'ffn']) await pass(states, 2, site);
    });
    await read(async (states) => {
      await pass(states, 2, 'attention');
      await session.ends.embed(IDS, WINDOW, states, 'measuring');
    });
    const memory = () => session.engine.memory.used;
    const states = await embed();
    const used = memory();
    await pass(states, 0, 'attention');
    t.true(memory() >= used + 4 * IDS.length * states.cols);
    await pass(states, 0, 'ffn');
    t.is(memory(), used);
  },
);

passing('copies of rows take it along, beside others that have none', async (t, held) => {
  const { session, embed, pass } = held;
  const [past, other, wanted] = [await embed(), await embed(), await embed()];
  const { rows, cols } = past;
  await using(session.matrix(3 * rows, cols, rows), async (batch) => {
    await pass(past, 1, 'attention');
    const place = (states: Matrix, at: number) =>
      states.copyTo(batch, { from: 0, to: at * rows, count: rows });
    // What lies there from before has no say.
    await place(past, 1);
    await place(past, 0);
    await place(other, 1);
    await place(past, 2);
    await pass(batch, 1, 'ffn', { firstRows: 2 * rows });
    for (const site of ['attention', 'ffn']) await pass(wanted, 1, site);
    await pass(other, 1, 'ffn');
    t.deepEqual(batch.read(0, rows), values(wanted));
    t.deepEqual(batch.read(rows, rows), values(other));
    // The third went no further, and still has it.
    t.deepEqual(batch.read(2 * rows, rows), values(past));
    await pass(batch, 1, 'ffn');
    t.deepEqual(batch.read(2 * rows, rows), values(wanted));
  });
});
