/** prune() with the baselines against the torch reference (test/oracles/baselines.py): the same sets are kept. */
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { prune } from '../../lib/prune';
import { workspace } from '../e2e/models';
import { type BaselineCase, baselineFixture } from './fixtures';

const work = workspace();
test.after.always(() => work.remove());

/** As in `LayerResult`. */
function sha256(kept: number[]): string {
  const bytes = Buffer.alloc(4 * kept.length);
  kept.forEach((index, i) => {
    bytes.writeInt32LE(index, 4 * i);
  });
  return createHash('sha256').update(bytes).digest('hex');
}

function titleOf({ method, allocation, scope, sparsity }: BaselineCase): string {
  return `${method}, ${allocation}, ${scope}, S = ${sparsity}`;
}

const models = readdirSync(join(__dirname, '../fixtures/baselines'))
  .map((file) => file.replace('.json', ''))
  .filter((name) => name !== 'versions');

for (const name of models) {
  const { ids, multiple, maxShare, cases } = baselineFixture(name);
  const window = ids[0]!.length;
  const model = work.symbolModel(name);
  const text = work.textOf(ids.flat());

  for (const expected of cases) {
    test(`${name}: ${titleOf(expected)}: kept as the torch reference`, async (t) => {
      const { method, allocation, scope, sparsity, blocks, removedWeights, linearWeights } =
        expected;
      const output = work.path('out');
      const result = await prune(model, {
        output,
        calibration: text,
        eval: text,
        method,
        allocation: allocation as 'uniform' | 'threshold',
        scope,
        sparsity,
        window,
        multiple,
        maxLayerSparsity: maxShare,
        dtype: 'f32',
      });
      t.deepEqual(
        result.layers.map((layer) => [layer.keptFfnSha256, layer.keptKvSha256]),
        blocks.map(({ ffn, kvHeads }) => [sha256(ffn), sha256(kvHeads)]),
      );
      t.is(Math.round(result.sparsity * linearWeights), removedWeights);
      t.true(Math.abs(Math.log(result.perplexityBefore!) - expected.nllBefore) < 1e-4);
      t.true(Math.abs(Math.log(result.perplexityAfter!) - expected.nllAfter) < 1e-4);
    });
  }
}
