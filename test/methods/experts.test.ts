/** prune() of whole experts against torch (test/oracles/experts.py), whose model has their router's logits at -inf. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { type BlockKeep, linearParameters, prunedArchitecture } from '../../lib/model/groups';
import type { PruneOptions } from '../../lib/options';
import { prune } from '../../lib/prune';
import { workspace } from '../e2e/models';

const work = workspace();
test.after.always(() => work.remove());

interface Fixture {
  ids: number[][];
  cases: {
    method: 'reap' | 'struprune';
    removed: number;
    refit: boolean;
    layers: { block: number; kept: number[]; tokens: number[]; relativeError: number }[];
    nllBefore: number;
    nllAfter: number;
  }[];
}

for (const name of ['mixtral', 'qwen2-moe', 'qwen3-moe', 'olmoe']) {
  const path = join(__dirname, '../fixtures/experts', `${name}.json`);
  const { ids, cases } = JSON.parse(readFileSync(path, 'utf8')) as Fixture;
  const window = ids[0]!.length;
  const model = work.symbolModel(name);
  const calibration = Int32Array.from(ids.flat());

  for (const { method, removed, refit, layers, nllBefore, nllAfter } of cases) {
    const which = `${name}, ${method}${refit ? ' with a refit' : ''}, ${removed} of every block`;
    test.serial(`${which}: as in torch`, async (t) => {
      const { architecture } = await openCheckpoint(model);
      const keeps = architecture.blocks.map((_, index): BlockKeep => {
        const layer = layers.find(({ block }) => block === index);
        return layer ? { experts: Int32Array.from(layer.kept) } : {};
      });
      const wanted = prunedArchitecture(architecture, keeps);
      const linear = linearParameters(architecture);
      const options = {
        ...{ calibration, calibrationTokens: ids.flat().length, window },
        ...{ eval: calibration, evalTokens: ids.flat().length },
        // Which experts a token passes may go by the last bit of a float.
        ...{ method, refit, scope: 'experts', dtype: 'f32', threads: 2, fullPrecision: true },
        sparsity: 1 - linearParameters(wanted) / linear,
      } satisfies Partial<PruneOptions>;
      const result = await prune(model, { ...options, output: work.path('out') });
      t.is(result.kind, 'stock');
      t.deepEqual(
        result.layers.flatMap(({ keptExperts }) => (keptExperts ? [keptExperts] : [])),
        layers.map(({ kept }) => kept),
      );
      t.deepEqual(
        result.layerStats.map(({ index, expertTokens }) => [index, expertTokens]),
        layers.map(({ block, tokens }) => [block, tokens]),
      );
      layers.forEach(({ relativeError }, i) => {
        const actual = result.layerStats[i]!.relativeError!;
        t.true(Math.abs(actual - relativeError) < 1e-4 * relativeError, `${actual}`);
      });
      t.true(Math.abs(Math.log(result.perplexityBefore!) - nllBefore) < 1e-5);
      t.true(Math.abs(Math.log(result.perplexityAfter!) - nllAfter) < 1e-5);
      t.deepEqual((await openCheckpoint(result.output)).architecture, wanted);
    });
  }
}
