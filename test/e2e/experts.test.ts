/** Mixtures of experts: what is pruned of them, and what is refused by name before work starts. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { openCheckpoint } from '../../lib/checkpoint/open';
import type { PruneOptions } from '../../lib/options';
import { prune } from '../../lib/prune';
import { CALIBRATION, workspace } from './models';

const work = workspace();
test.after.always(() => work.remove());

const WINDOW = 48;
const options = (more: Partial<PruneOptions>): PruneOptions => ({
  output: join(work.emptyFolder(), 'out'),
  calibration: CALIBRATION,
  calibrationTokens: 20 * WINDOW,
  surveyTokens: 10 * WINDOW,
  window: WINDOW,
  sparsity: 0.05,
  threads: 1,
  ...more,
});

const REFUSED: [Partial<PruneOptions>, RegExp][] = [
  [{ scope: 'ffn' }, /experts: scope ffn would remove channels of them/],
  [{ layerWeights: 'fisher' }, /experts: Fisher metrics need gradients/],
  [{ tuneTokens: 4 * WINDOW }, /experts: tuning needs gradients/],
  [{ format: 'gguf', window: 16 }, /mixtral models are not written as GGUF/],
];
for (const [more, message] of REFUSED) {
  test(`refused: ${JSON.stringify(more)}`, async (t) => {
    const output = join(work.emptyFolder(), more.format === 'gguf' ? 'out.gguf' : 'out');
    await t.throwsAsync(prune(work.model('mixtral'), options({ ...more, output })), {
      code: 'ERR_UNSUPPORTED',
      message,
    });
    t.deepEqual(readdirSync(join(output, '..')), []);
  });
}

test('stacked experts go in, single ones come out, and a dense block keeps its FFN', async (t) => {
  const { output, kind, verification } = await prune(
    work.model('qwen3-moe'),
    options({ scope: 'attention', allocation: 'uniform' }),
  );
  t.is(kind, 'stock');
  t.true(Math.abs(verification.actual - verification.expected) < 1e-7);
  const before = await openCheckpoint(work.model('qwen3-moe'));
  const after = await openCheckpoint(output);
  t.deepEqual(after.architecture.routing, before.architecture.routing);
  t.deepEqual(
    after.architecture.blocks.map(({ ffn, experts }) => [ffn, experts]),
    before.architecture.blocks.map(({ ffn, experts }) => [ffn, experts]),
  );
  t.true(after.architecture.blocks.every(({ kvHeads }) => kvHeads === 1));

  const stacked = await prune(
    work.model('olmoe'),
    options({ sparsity: 0, scope: 'attention', allocation: 'uniform' }),
  );
  const names = (await openCheckpoint(stacked.output)).blocks[0]!;
  t.is(names['experts.7.up']!.name, 'model.layers.0.mlp.experts.7.up_proj.weight');
  t.true(existsSync(join(stacked.output, 'config.json')));
});
