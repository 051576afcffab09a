/** prune() with the baselines against the torch reference (test/oracles/baselines.py): the same sets are kept. STRUPRUNE_LONG=1: of all models, in all settings. */
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { Engine } from '../../lib/engine/engine';
import { Session } from '../../lib/engine/session';
import { evaluateIds } from '../../lib/measure/perplexity';
import type { PruneOptions } from '../../lib/options';
import { prune } from '../../lib/prune';
import { workspace } from '../e2e/models';
import { isLong } from '../long';
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

/** On ids and not on a text: every tokenizer thread costs a test run a second. */
async function meanNll(model: string, ids: number[][]): Promise<number> {
  const engine = new Engine({ threads: 1 });
  const session = new Session(engine, await openCheckpoint(model));
  const { meanNll } = await evaluateIds(session, Int32Array.from(ids.flat()), {
    window: ids[0]!.length,
  });
  session.dispose();
  engine.dispose();
  return meanNll;
}

function titleOf({ method, allocation, scope, sparsity }: BaselineCase): string {
  return `${method}, ${allocation}, ${scope}, S = ${sparsity}`;
}

/** To scores and refits these are what others are. */
const ALIKE = ['llama3', 'llama3-tied', 'mistral', 'phi3', 'qwen2', 'qwen3', 'starcoder2'];

const models = readdirSync(join(__dirname, '../fixtures/baselines'))
  .map((file) => file.replace('.json', ''))
  .filter((name) => name !== 'versions')
  .filter((name) => isLong || !ALIKE.includes(name));

/** Of a method with an allocation the settings that remove most. */
function chosen(name: string, cases: BaselineCase[]): BaselineCase[] {
  if (isLong || name === 'llama2') return cases;
  const last = new Map(cases.map((one) => [`${one.method} ${one.allocation}`, one]));
  return [...last.values()];
}

for (const name of models) {
  const { ids, multiple, maxShare, cases } = baselineFixture(name);
  const window = ids[0]!.length;
  const model = work.symbolModel(name);
  const calibration = Int32Array.from(ids.flat());

  for (const expected of chosen(name, cases)) {
    test.serial(`${name}: ${titleOf(expected)}: kept as the torch reference`, async (t) => {
      const { method, allocation, scope, sparsity, blocks, removedWeights, linearWeights } =
        expected;
      const output = work.path('out');
      const result = await prune(model, {
        output,
        calibration,
        method: method as PruneOptions['method'],
        allocation: allocation as 'uniform' | 'threshold',
        scope,
        sparsity,
        window,
        multiple,
        maxLayerSparsity: maxShare,
        dtype: 'f32',
        threads: 1,
        // Sums of gradients that nearly cancel need more than two parts of bf16.
        fullPrecision: method === 'gisp',
      });
      t.deepEqual(
        result.layers.map((layer) => [layer.keptFfnSha256, layer.keptKvSha256]),
        blocks.map(({ ffn, kvHeads }) => [sha256(ffn), sha256(kvHeads)]),
      );
      t.is(Math.round(result.sparsity * linearWeights), removedWeights);
      t.true(Math.abs((await meanNll(output, ids)) - expected.nllAfter) < 1e-4);
    });
  }

  test.serial(`${name}: dense NLL on the calibration as the torch reference`, async (t) => {
    const actual = await meanNll(model, ids);
    for (const { nllBefore } of cases) t.true(Math.abs(actual - nllBefore) < 1e-4);
  });
}
