/** A model beside another one: the figures are those of their logits, taken by plain arithmetic. */
import { join } from 'node:path';
import test from 'ava';
import { readWindows } from '../lib/calibration/text';
import { openCheckpoint } from '../lib/checkpoint/open';
import { withEngine } from '../lib/engine/call';
import { AS_IS, Session } from '../lib/engine/session';
import { evaluate } from '../lib/evaluate';
import { prune } from '../lib/prune';
import { CALIBRATION, EVALUATION, workspace } from './e2e/models';

const work = workspace();
test.after.always(() => work.remove());

const TINY = join(__dirname, '../assets/tiny');
const WINDOW = 64;
// Several batches would take more tokens than a test should.
const TOKENS = 4 * WINDOW;
const given = { text: EVALUATION, window: WINDOW, maxTokens: TOKENS, threads: 1 };

async function logProbabilities(model: string): Promise<Float64Array[]> {
  return withEngine({ threads: 1 }, async (engine) => {
    const source = await openCheckpoint(model);
    const session = new Session(engine, source, AS_IS);
    const ids = await readWindows(source, EVALUATION, { window: WINDOW, maxTokens: TOKENS });
    const hidden = await session.embed(ids, WINDOW, 'measuring');
    await session.forward(hidden, WINDOW, 'measuring');
    const logits = await session.ends.logits(hidden, 0, TOKENS);
    await hidden[Symbol.asyncDispose]();
    session.dispose();
    const { vocab } = source.architecture;
    return Array.from({ length: TOKENS }, (_, t) => {
      const row = Float64Array.from(logits.subarray(t * vocab, (t + 1) * vocab));
      const most = Math.max(...row);
      const sum = row.reduce((total, x) => total + Math.exp(x - most), 0);
      return row.map((x) => x - most - Math.log(sum));
    });
  });
}

const likeliest = (row: Float64Array) => row.indexOf(Math.max(...row));

test('beside the dense model', async (t) => {
  const { output } = await prune(TINY, {
    output: join(work.emptyFolder(), 'out'),
    calibration: CALIBRATION,
    calibrationTokens: 512,
    window: WINDOW,
    sparsity: 0.3,
    dtype: 'f32',
    allocation: 'uniform',
    ffnSolver: 'output',
    threads: 1,
  });
  const { against, ...alone } = await evaluate(output, { ...given, against: TINY });
  const dense = await evaluate(TINY, given);
  t.is(dense.against, null);
  t.true(alone.perplexity > dense.perplexity);
  t.true(Math.abs(against!.perplexity / dense.perplexity - 1) < 1e-9);
  t.true(Math.abs(against!.meanNll - dense.meanNll) < 1e-9);
  const [p, q] = [await logProbabilities(TINY), await logProbabilities(output)];
  const counted = p.map((_, i) => i).filter((i) => (i + 1) % WINDOW !== 0);
  const kl = counted.map((i) =>
    p[i]!.reduce((sum, x, v) => sum + Math.exp(x) * (x - q[i]![v]!), 0),
  );
  const mean = kl.reduce((sum, x) => sum + x) / counted.length;
  const same = counted.filter((i) => likeliest(p[i]!) === likeliest(q[i]!)).length;
  t.true(Math.abs(against!.klToDense / mean - 1) < 1e-4, `${against!.klToDense}, ${mean}`);
  t.is(against!.top1Agreement, same / counted.length);
});

test('beside itself nothing is lost', async (t) => {
  const { against } = await evaluate(TINY, { ...given, against: TINY });
  t.true(Math.abs(against!.klToDense) < 1e-9);
  t.is(against!.top1Agreement, 1);
});

test('models of other vocabularies, or that split text otherwise, are refused', async (t) => {
  const against = work.model('llama3');
  await t.throwsAsync(evaluate(TINY, { ...given, against }), {
    code: 'ERR_ARGUMENT',
    message: /vocabularies of \d+ and \d+ tokens.*against the model/s,
  });
});
