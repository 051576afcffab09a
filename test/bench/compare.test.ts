/** KL and top-1 agreement of two models' heads against the formulas on transformers' own logits. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { compareHeads } from '../../lib/engine/ends';
import { Engine } from '../../lib/engine/engine';
import { using } from '../../lib/engine/owned';
import { nextTokens, Session } from '../../lib/engine/session';

const MODELS = join(__dirname, '../fixtures/models');

/** Fixture: token ids, and logits `[windows · positions, vocab]` at some positions, by torch in float32. */
function fixture(name: string) {
  const folder = join(MODELS, name);
  const { inputIds, positions } = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8'));
  const bytes = readFileSync(join(folder, 'logits.f32'));
  const logits = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const ids = inputIds as number[][];
  const rows = ids.flatMap((window, w) =>
    (positions as number[]).map((position) => w * window.length + position),
  );
  const vocab = logits.length / rows.length;
  return { folder, ids, rows, row: (i: number) => logits.subarray(i * vocab, (i + 1) * vocab) };
}

function logSoftmax(logits: Float32Array): number[] {
  const top = Math.max(...logits);
  const log = top + Math.log(logits.reduce((sum, value) => sum + Math.exp(value - top), 0));
  return [...logits].map((value) => value - log);
}

const best = (values: number[]) => values.indexOf(Math.max(...values));

for (const [reference, model] of [
  ['llama2', 'qwen3'],
  ['llama3-tied', 'opt-post'],
] as const) {
  test(`${model} against ${reference}`, async (t) => {
    const p = fixture(reference);
    const q = fixture(model);
    t.deepEqual(p.rows, q.rows);
    const engine = new Engine({ threads: 2 });
    const states = async ({ folder, ids }: ReturnType<typeof fixture>) => {
      const session = new Session(engine, await openCheckpoint(folder));
      const hidden = await session.embed(Int32Array.from(ids.flat()), ids[0]!.length, 'measuring');
      await session.forward(hidden, ids[0]!.length, 'measuring');
      return { session, hidden };
    };
    const of = { p: await states(p), q: await states(q) };
    const targets = nextTokens(Int32Array.from(q.ids.flat()), q.ids[0]!.length);
    const found = await using(of.p.hidden, (dense) =>
      using(of.q.hidden, (hidden) =>
        compareHeads(
          { ends: of.p.session.ends, hidden: dense, row: 0 },
          { ends: of.q.session.ends, hidden, row: 0 },
          targets,
        ),
      ),
    );
    let compared = 0;
    p.rows.forEach((row, i) => {
      if (targets[row]! < 0) return;
      const logP = logSoftmax(p.row(i));
      const logQ = logSoftmax(q.row(i));
      const kl = logP.reduce((sum, value, v) => sum + Math.exp(value) * (value - logQ[v]!), 0);
      t.true(Math.abs(found.kl[row]! - kl) < 1e-4 * Math.max(1, kl), `${found.kl[row]}, ${kl}`);
      t.true(Math.abs(found.nll[row]! + logQ[targets[row]!]!) < 1e-4);
      t.is(found.best[row], best(logQ));
      t.is(found.referenceBest[row], best(logP));
      compared++;
    });
    t.is(compared, 14);
    for (const { session } of [of.p, of.q]) session.dispose();
    engine.dispose();
  });
}
