/** examples/recover as its README has it: a pruned folder gets better, and stays a folder of ours. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import test from 'ava';
import { embeddedModel, embeddedTexts, evaluate, openModel, prune } from '../../lib';

const SCRIPT = resolve(__dirname, '../../examples/recover/recover.py');
const work = mkdtempSync(join(tmpdir(), 'struprune-recover-'));
test.after.always(() => rmSync(work, { recursive: true, force: true }));

test('a few steps lower the perplexity, as transformers and we measure it', async (t) => {
  t.timeout(10 * 60 * 1000);
  const { calibration, evaluation } = embeddedTexts();
  const [pruned, recovered] = [join(work, 'pruned'), join(work, 'recovered')];
  // Without a refit, so that there is much to recover, and with widths of each block's own.
  await prune(embeddedModel(), {
    output: pruned,
    sparsity: 0.3,
    method: 'flap',
    allocation: 'threshold',
    dtype: 'f32',
    calibration,
    calibrationTokens: 1024,
    window: 128,
  });
  const sizes = ['--window', '128', '--eval-windows', '8', '--steps', '20'];
  const texts = ['--text', calibration, '--eval', evaluation, '-o', recovered];
  const printed = execFileSync('python3', [SCRIPT, pruned, embeddedModel(), ...texts, ...sizes], {
    env: { ...process.env, PYTHONPATH: process.env.STRUPRUNE_ORACLES },
    encoding: 'utf8',
  });
  const [dense, before, after] = [...printed.matchAll(/(?:model|pruned|tokens:) (\d+\.\d+)/g)].map(
    ([, value]) => Number(value),
  );
  t.log(printed);
  t.true(dense! < after! && after! < 0.98 * before!, printed);
  const measured = { text: evaluation, window: 128, maxTokens: 1024 };
  const { perplexity } = await evaluate(recovered, measured);
  t.true(Math.abs(perplexity / after! - 1) < 1e-3, `${perplexity} against ${after}`);
  const [small, whole] = [await openModel(recovered), await openModel(embeddedModel())];
  t.true(small.parameters < whole.parameters);
});
