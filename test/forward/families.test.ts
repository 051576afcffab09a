/** Logits, NLL and greedy tokens of small models of every family against transformers (scripts/oracles). */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { Engine } from '../../lib/engine/engine';
import { using } from '../../lib/engine/owned';
import { nextTokens, Session } from '../../lib/engine/session';
import { greedy } from '../../lib/measure/generate';

const MODELS = join(__dirname, '../fixtures/models');

interface Expected {
  inputIds: number[][];
  positions: number[];
  nll: number[][];
  greedy: { prompt: number[]; continuation: number[] };
}

for (const name of readdirSync(MODELS).filter((entry) => !entry.endsWith('.json'))) {
  const folder = join(MODELS, name);
  const expected: Expected = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8'));
  const bytes = readFileSync(join(folder, 'logits.f32'));
  const logits = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);

  test(`${name}: logits and NLL equal transformers'`, async (t) => {
    const engine = new Engine({ threads: 2 });
    const session = new Session(engine, await openCheckpoint(folder));
    const window = expected.inputIds[0]!.length;
    const ids = Int32Array.from(expected.inputIds.flat());
    await using(await session.embed(ids, window, 'measuring'), async (hidden) => {
      await session.forward(hidden, window, 'measuring');
      const largest = logits.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
      let worst = 0;
      let at = 0;
      for (let w = 0; w < expected.inputIds.length; w++) {
        for (const position of expected.positions) {
          const row = await session.ends.logits(hidden, w * window + position, 1);
          for (const value of row) worst = Math.max(worst, Math.abs(value - logits[at++]!));
        }
      }
      t.is(at, logits.length);
      t.true(worst <= 1e-4 * largest, `largest difference ${worst}, largest logit ${largest}`);

      const { nll } = await session.score(hidden, nextTokens(ids, window));
      const wanted = expected.nll.flat();
      const got = [...nll].filter((value) => !Number.isNaN(value));
      t.is(got.length, wanted.length);
      got.forEach((value, i) => {
        t.true(Math.abs(value - wanted[i]!) < 1e-4, `NLL of target ${i}: ${value}, ${wanted[i]}`);
      });
    });
    session.dispose();
    engine.dispose();
  });

  test(`${name}: greedy continuation equals transformers'`, async (t) => {
    const engine = new Engine({ threads: 1 });
    const session = new Session(engine, await openCheckpoint(folder));
    const { prompt, continuation } = expected.greedy;
    const used = engine.memory.used;
    for (const room of [0, 2 ** 16, 2 ** 30]) {
      t.deepEqual(await greedy(session, prompt, continuation.length, { room }), continuation);
      t.is(engine.memory.used, used, 'every block that was kept is freed');
    }
    session.dispose();
    engine.dispose();
  });
}
