/** prune() of channels inside experts against torch (test/oracles/expert_channels.py), whose model has their columns at zero. */
import { createHash } from 'node:crypto';
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
    method: 'magnitude-l2' | 'wanda-sp' | 'struprune';
    removed: number;
    refit: boolean;
    /** Of every expert. */
    layers: { block: number; kept: number[][]; tokens: number[]; errors: number[] }[];
    nllBefore: number;
    nllAfter: number;
  }[];
}

for (const name of ['mixtral', 'qwen2-moe', 'qwen3-moe', 'olmoe']) {
  const path = join(__dirname, '../fixtures/experts', `${name}-channels.json`);
  const { ids, cases } = JSON.parse(readFileSync(path, 'utf8')) as Fixture;
  const window = ids[0]!.length;
  const model = work.symbolModel(name);
  const calibration = Int32Array.from(ids.flat());

  for (const { method, removed, refit, layers, nllBefore, nllAfter } of cases) {
    const which = `${name}, ${method}${refit ? ' with a refit' : ''}, ${removed} of every expert`;
    test.serial(`${which}: as in torch`, async (t) => {
      const { architecture } = await openCheckpoint(model);
      const keeps = architecture.blocks.map((_, index): BlockKeep => {
        const layer = layers.find(({ block }) => block === index);
        const own = layer?.kept.map((kept, j) => [`experts.${j}`, Int32Array.from(kept)]);
        return Object.fromEntries(own ?? []);
      });
      const wanted = prunedArchitecture(architecture, keeps);
      const linear = linearParameters(architecture);
      const options = {
        ...{ calibration, calibrationTokens: ids.flat().length, window },
        ...{ eval: calibration, evalTokens: ids.flat().length },
        // Which experts a token passes may go by the last bit of a float.
        ...{
          method,
          refit,
          scope: 'expert-channels',
          dtype: 'f32',
          threads: 2,
          fullPrecision: true,
        },
        sparsity: 1 - linearParameters(wanted) / linear,
      } satisfies Partial<PruneOptions>;
      const result = await prune(model, { ...options, output: work.path('out') });
      t.is(result.kind, 'stock');
      for (const [i, { block, kept, tokens, errors }] of layers.entries()) {
        t.is(result.layers[block]!.keptFfnSha256, fingerprint(kept.flat()));
        const { index, site, expertTokens, relativeError } = result.layerStats[i]!;
        t.deepEqual([index, site], [block, 'expert-channels']);
        if (method === 'magnitude-l2') continue;
        t.deepEqual(expertTokens, tokens);
        if (method === 'wanda-sp') continue;
        const all = tokens.reduce((sum, count) => sum + count);
        const mean = errors.reduce((sum, error, j) => sum + error * tokens[j]!, 0) / all;
        t.true(Math.abs(relativeError! - mean) < 1e-4 * mean, `${relativeError}, ${mean}`);
      }
      t.true(Math.abs(Math.log(result.perplexityBefore!) - nllBefore) < 1e-5);
      t.true(Math.abs(Math.log(result.perplexityAfter!) - nllAfter) < 1e-5);
      t.deepEqual((await openCheckpoint(result.output)).architecture, wanted);
    });
  }
}

function fingerprint(kept: readonly number[]): string {
  return createHash('sha256')
    .update(new Uint8Array(Int32Array.from(kept).buffer))
    .digest('hex');
}
