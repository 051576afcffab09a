/** Sums over calibration tokens may have faster products than what is measured (docs/decisions/0009). */
import { join } from 'node:path';
import test from 'ava';
import { Engine, evaluate } from '../../lib';
import type { PruneOptions } from '../../lib/options';
import { prune } from '../../lib/prune';
import { hashesOf } from './files';
import { CALIBRATION_IDS, EVALUATION, workspace } from './models';
import { stopAfter } from './stop-after';

const work = workspace();
test.after.always(() => work.remove());

const WINDOW = 48;
const model = work.model('llama2');
const options = (more: Partial<PruneOptions> = {}): PruneOptions => ({
  output: join(work.emptyFolder(), 'out'),
  calibration: CALIBRATION_IDS,
  calibrationTokens: 20 * WINDOW,
  tuneTokens: 0,
  window: WINDOW,
  sparsity: 0.2,
  dtype: 'f32',
  threads: 1,
  device: 'cpu',
  eval: EVALUATION,
  evalTokens: 10 * WINDOW,
  ...more,
});
const near = (a: number, b: number, share: number) => Math.abs(a - b) <= share * Math.abs(b);

test.serial(
  'a run calibrates by the path that its engine names, and measures by its own',
  async (t) => {
    // A site that loses nothing has rounding errors alone.
    const ffn = { scope: 'ffn' } as const;
    for (const { searches, ...more } of [
      { ...ffn, ffnSolver: 'output', searches: false },
      // In products of one part (docs/decisions/0016): other weights, about as good.
      { ...ffn, ffnSolver: 'gauss-newton', searches: true },
      { method: 'flap', searches: false },
    ] as const) {
      await using fast = new Engine({ threads: 1, device: 'cpu' });
      await using full = new Engine({ threads: 1, device: 'cpu', fullPrecision: true });
      t.is(full.calibrationPath, full.gemmPath);
      t.is(full.searchPath, full.gemmPath);
      t.is(fast.gemmPath, full.gemmPath);
      const { threads, device, ...settings } = options(more);
      const on = (engine: Engine) =>
        prune(model, { ...settings, output: join(work.emptyFolder(), 'out'), engine });
      const [a, b] = [await on(fast), await on(full)];
      t.is(a.perplexityBefore, b.perplexityBefore);
      t.true(near(a.perplexityAfter!, b.perplexityAfter!, searches ? 0.01 : 1e-4));
      const rounded = !near(a.perplexityAfter!, b.perplexityAfter!, 1e-5);
      const bytes = [a, b].map(({ output }) => hashesOf(output)['model.safetensors']);
      const others = [fast.calibrationPath, ...(searches ? [fast.searchPath] : [])];
      const faster = others.some((path) => path !== fast.gemmPath);
      t.is(bytes[0] !== bytes[1], faster, others.join());
      t.is(rounded, searches && fast.searchPath !== fast.gemmPath);
      for (const [i, { relativeError }] of a.layerStats.entries()) {
        const exact = b.layerStats[i]!.relativeError;
        if (exact !== null) {
          t.true(near(relativeError!, exact, searches ? 0.05 : 1e-3), `layer ${i}`);
        }
      }
      for (const { memory } of [fast, full]) t.is(memory.kept, 0, 'given back when a call ends');
      // And the next call on the engine is itself again.
      const text = { text: EVALUATION, window: WINDOW, maxTokens: 10 * WINDOW };
      const [c, d] = [fast, full].map((engine) => evaluate(model, { ...text, engine }));
      t.is((await c!).perplexity, (await d!).perplexity);
    }
  },
);

test.serial('a journal is refused to other products, and to none that are the same', async (t) => {
  const settings = options({ resume: true });
  await stopAfter(1, model, settings);
  await using engine = new Engine({ device: 'cpu' });
  if (engine.searchPath === engine.gemmPath) {
    const { resumedBlocks } = await prune(model, { ...settings, fullPrecision: true });
    t.deepEqual(resumedBlocks, [0]);
    return;
  }
  await t.throwsAsync(prune(model, { ...settings, fullPrecision: true }), {
    code: 'ERR_ARGUMENT',
    message: /another run: .*searches by (amx|avx512)-bf16, now (amx|cblas)-f32/,
  });
  const { resumedBlocks } = await prune(model, settings);
  t.deepEqual(resumedBlocks, [0]);
});

test('full precision and bf16 exclude each other', (t) => {
  t.throws(() => new Engine({ bf16: true, fullPrecision: true }), {
    code: 'ERR_ARGUMENT',
    message: /bf16: true and fullPrecision: true exclude each other/,
  });
});
