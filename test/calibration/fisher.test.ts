/** Fisher metrics of small models against torch's autograd (scripts/oracles/make-model-fixtures.py). */

import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type FisherOptions, fisherMetrics } from '../../lib/calibration/fisher';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { Engine } from '../../lib/engine/engine';
import { native } from '../../lib/engine/native';
import { Session } from '../../lib/engine/session';
import type { Statistics } from '../../lib/engine/statistics';
import type { Site } from '../../lib/model/sublayers';
import type { OnStage } from '../../lib/progress';

const MODELS = join(__dirname, '../fixtures/models');

interface Expected {
  inputIds: number[][];
  nll: number[][];
  fisher: { file: string; shape: [number, number, number, number]; tokens: number } | null;
}

function expectedOf(name: string): Expected {
  return JSON.parse(readFileSync(join(MODELS, name, 'expected.json'), 'utf8'));
}

async function withSession<T>(name: string, use: (session: Session) => Promise<T>): Promise<T> {
  // The metrics are torch's to float's precision.
  const engine = new Engine({ threads: 2, fullPrecision: true });
  const session = new Session(engine, await openCheckpoint(join(MODELS, name)));
  try {
    return await use(session);
  } finally {
    session.dispose();
    engine.dispose();
  }
}

interface Run {
  /** Order in which the blocks came. */
  order: number[];
  /** `[block][0 = attention, 1 = ffn]` */
  grams: Float64Array[][];
  tokens: number[];
  meanNll: number;
}

async function run(
  name: string,
  { tokens, ...options }: Partial<FisherOptions> & { tokens?: number } = {},
): Promise<Run> {
  const { inputIds } = expectedOf(name);
  const ids = Int32Array.from(inputIds.flat()).subarray(0, tokens);
  const window = inputIds[0]!.length;
  return withSession(name, async (session) => {
    const result: Run = { order: [], grams: [], tokens: [], meanNll: Number.NaN };
    const metrics = fisherMetrics(session, ids, { window, scratch: '', ...options });
    for (;;) {
      const next = await metrics.next();
      if (next.done) return { ...result, meanNll: next.value.meanNll };
      const read = (sums: Statistics) => {
        result.tokens.push(sums.read().tokens);
        return sums.gramRows(0, sums.dim);
      };
      const { index, gradients } = next.value;
      result.order.push(index);
      result.grams[index] = [read(gradients.attention!), read(gradients.ffn!)];
    }
  });
}

function compare(t: ExecutionContext, got: Float64Array, wanted: Float32Array, what: string): void {
  const largest = wanted.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
  t.true(largest > 0, what);
  t.is(got.length, wanted.length);
  const worst = got.reduce((top, value, i) => Math.max(top, Math.abs(value - wanted[i]!)), 0);
  t.true(worst <= 1e-4 * largest, `${what}: largest difference ${worst}, largest entry ${largest}`);
}

const withFisher = readdirSync(MODELS)
  .filter((entry) => !entry.endsWith('.json'))
  .filter((name) => expectedOf(name).fisher);

test('the fixtures hold a Llama, an OPT and a Gemma', (t) => {
  t.true(withFisher.includes('gemma3-unlike'));
  t.true(withFisher.includes('llama3-tied') && withFisher.includes('opt-pre'));
});

for (const name of withFisher) {
  for (const scratch of ['', tmpdir()]) {
    test(`${name}: metrics equal torch's autograd (${scratch ? 'scratch' : 'memory'})`, async (t) => {
      const { nll, fisher } = expectedOf(name);
      const { file, shape, tokens } = fisher!;
      const bytes = readFileSync(join(MODELS, name, file));
      const wanted = new Float32Array(new Uint8Array(bytes).buffer);
      const [blocks, sites, hidden] = shape;
      const size = hidden * hidden;

      const result = await run(name, { scratch });
      t.deepEqual(result.order, [...Array(blocks).keys()].reverse());
      t.true(result.tokens.every((count) => count === tokens));
      const losses = nll.flat();
      const mean = losses.reduce((sum, value) => sum + value, 0) / losses.length;
      t.true(Math.abs(result.meanNll - mean) < 1e-5, `${result.meanNll} ${mean}`);
      for (let block = 0; block < blocks; block++) {
        for (let site = 0; site < sites; site++) {
          const at = (block * sites + site) * size;
          compare(
            t,
            result.grams[block]![site]!,
            wanted.subarray(at, at + size),
            `block ${block}, ${site === 0 ? 'attention' : 'ffn'}`,
          );
        }
      }
    });
  }
}

test('sampled labels: the seed decides, and the loss is the entropy of the model', async (t) => {
  const name = 'llama3-tied';
  const empirical = await run(name);
  const first = await run(name, { labels: 'sampled', seed: 1 });
  const again = await run(name, { labels: 'sampled', seed: 1, scratch: tmpdir() });
  const other = await run(name, { labels: 'sampled', seed: 2 });
  t.deepEqual(first, again);
  t.notDeepEqual(first.grams, other.grams);
  // A random text is far less likely than the model's own: drawn labels must lose much less.
  t.true(first.meanNll < empirical.meanNll - 0.5, `${first.meanNll} ${empirical.meanNll}`);
});

test('reports progress', async (t) => {
  const seen: Parameters<OnStage>[0][] = [];
  const { order } = await run('opt-pre', { onProgress: (progress) => seen.push(progress) });
  const blocks = order.length;
  t.deepEqual(
    seen.map(({ done, total }) => [done, total]),
    Array.from({ length: 2 * blocks + 1 }, (_, i) => [i + 1, 2 * blocks + 1]),
  );
});

test('refuses tokens that hold no window', async (t) => {
  await t.throwsAsync(run('opt-pre', { tokens: 47 }), { code: 'ERR_ARGUMENT' });
});

test('inputs of the sites that are asked for are those of a forward pass', async (t) => {
  const { inputIds } = expectedOf('llama3-tied');
  const ids = Int32Array.from(inputIds.flat());
  const window = inputIds[0]!.length;
  const asked: Site[][] = [['attention', 'ffn'], ['ffn'], []];
  await withSession('llama3-tied', async (session) => {
    const { hidden, blocks } = session.architecture;
    const sites = (index: number) => asked[index] ?? [];
    const found: Partial<Record<Site, Float64Array>>[] = [];
    const rowsOf = (sums: Statistics) => sums.gramRows(0, sums.dim);
    for await (const { index, sums } of fisherMetrics(session, ids, {
      window,
      sites,
      scratch: '',
    })) {
      t.deepEqual(Object.keys(sums), sites(index));
      found[index] = Object.fromEntries(
        Object.entries(sums).map(([site, statistics]) => [site, rowsOf(statistics!)]),
      );
    }
    t.is(found.length, blocks.length);
    using states = await session.embed(ids, window, 'calibrating');
    t.is(states.cols, hidden);
    for (let index = 0; index < blocks.length; index++) {
      using block = await session.loadBlock(index);
      for (const site of block.sites) {
        using sums = session.statistics(block.width(site), { gram: true });
        await session.advanceSite(block, site, states, window, 'calibrating', { statistics: sums });
        const got = found[index]![site];
        if (got) compare(t, got, Float32Array.from(rowsOf(sums)), `block ${index}, ${site}`);
      }
    }
  });
});

test('a consumer that stops early or fails leaves nothing behind', async (t) => {
  const { inputIds } = expectedOf('opt-pre');
  const ids = Int32Array.from(inputIds.flat());
  await withSession('opt-pre', async (session) => {
    const { engine } = session;
    const before = engine.memory.used;
    const options = { window: 48, scratch: '' };
    for await (const { index } of fisherMetrics(session, ids, options)) {
      t.is(index, 1);
      t.true(engine.memory.used > before);
      break;
    }
    t.is(engine.memory.used, before);

    const failing = async () => {
      for await (const { index } of fisherMetrics(session, ids, options))
        throw new Error(`at ${index}`);
    };
    await t.throwsAsync(failing, { message: 'at 1' });
    t.is(engine.memory.used, before);
  });
});

test('an aborted engine stops the run and frees its memory', async (t) => {
  const { inputIds } = expectedOf('opt-pre');
  await withSession('opt-pre', async (session) => {
    const { engine } = session;
    const before = engine.memory.used;
    const ids = Int32Array.from(inputIds.flat());
    const metrics = fisherMetrics(session, ids, { window: 48, scratch: '' });
    await metrics.next();
    native.setAbort(engine.handle, true);
    await t.throwsAsync(metrics.next(), { message: /aborted/ });
    t.is(engine.memory.used, before);
  });
});
