import test from 'ava';

import type { Architecture } from '../../lib/model/architecture';
import { architectureFromConfig } from '../../lib/model/from-config';
import {
  type BlockKeep,
  groupCount,
  groupParameters,
  linearParameters,
  multiplyAdds,
  prunedArchitecture,
  prunedBlock,
  slicesFor,
  totalParameters,
} from '../../lib/model/groups';
import type { BlockRole } from '../../lib/model/sublayers';
import { fixtureConfig } from './fixture';

const architectureOf = (name: string) => architectureFromConfig(fixtureConfig(name), name);

/**
 * Which rows and columns of a block a group couples, found by computation alone: every intermediate
 * feature (query head entry, key, value, gate and up channel) is traced by name.
 */
function brokenDown(architecture: Architecture, kept: { ffn: number[]; attention: number[] }) {
  const { headDim } = architecture;
  const { heads, kvHeads } = architecture.blocks[0]!;
  const keyRows: number[] = [];
  const queryRows: number[] = [];
  for (let head = 0; head < heads; head++) {
    // transformers' repeat_kv: query head h attends with KV head floor(h / (heads / kvHeads)).
    const served = Math.floor(head / (heads / kvHeads));
    if (!kept.attention.includes(served)) continue;
    for (let entry = 0; entry < headDim; entry++) queryRows.push(head * headDim + entry);
  }
  for (let head = 0; head < kvHeads; head++) {
    if (!kept.attention.includes(head)) continue;
    for (let entry = 0; entry < headDim; entry++) keyRows.push(head * headDim + entry);
  }
  return { queryRows, keyRows };
}

test('groups of grouped-query attention with gate and no biases', (t) => {
  const architecture = architectureOf('llama3');
  t.is(groupCount(architecture, 0, 'ffn'), 192);
  t.is(groupCount(architecture, 0, 'attention'), 2);
  t.deepEqual(groupParameters(architecture, 0, 'ffn'), { weights: 3 * 96, biases: 0 });
  // Three query heads, a key and a value head, and three heads' columns of o.
  t.deepEqual(groupParameters(architecture, 0, 'attention'), {
    weights: (3 + 1 + 1 + 3) * 16 * 96,
    biases: 0,
  });
});

test('groups count the biases of their rows, never those of the outputs', (t) => {
  t.deepEqual(groupParameters(architectureOf('opt-pre'), 0, 'ffn'), { weights: 2 * 64, biases: 1 });
  t.deepEqual(groupParameters(architectureOf('opt-pre'), 0, 'attention'), {
    weights: 4 * 16 * 64,
    biases: 3 * 16,
  });
  t.deepEqual(groupParameters(architectureOf('llama-bias'), 0, 'ffn'), {
    weights: 3 * 64,
    biases: 2,
  });
  t.deepEqual(groupParameters(architectureOf('qwen2'), 0, 'attention'), {
    weights: 6 * 16 * 64,
    biases: 4 * 16,
  });
});

test('slices follow query heads to their KV head', (t) => {
  for (const name of ['llama3', 'llama2', 'qwen2', 'mistral', 'qwen3', 'opt-pre', 'llama-bias']) {
    const architecture = architectureOf(name);
    const kept = { ffn: [0, 3, 4, 159], attention: [1] };
    const slices = slicesFor(architecture, 0, {
      ffn: Int32Array.from(kept.ffn),
      attention: Int32Array.from(kept.attention),
    });
    const { queryRows, keyRows } = brokenDown(architecture, kept);
    const expected: Partial<Record<BlockRole, [number, number[]]>> = {
      'attention.q': [0, queryRows],
      'attention.k': [0, keyRows],
      'attention.v': [0, keyRows],
      'attention.out': [1, queryRows],
      'ffn.up': [0, kept.ffn],
      'ffn.out': [1, kept.ffn],
    };
    if (architecture.gated) expected['ffn.gate'] = [0, kept.ffn];
    if (architecture.biases.qkv) {
      Object.assign(expected, {
        'attention.qBias': [0, queryRows],
        'attention.kBias': [0, keyRows],
        'attention.vBias': [0, keyRows],
      });
    }
    if (architecture.biases.ffnIn) expected['ffn.upBias'] = [0, kept.ffn];
    if (architecture.biases.ffnIn && architecture.gated) expected['ffn.gateBias'] = [0, kept.ffn];
    const found = Object.fromEntries(
      Object.entries(slices).map(([role, slice]) => [role, [slice.axis, [...slice.indices]]]),
    );
    t.deepEqual(found, expected as typeof found, name);
  }
});

test('a kind that is not given stays whole', (t) => {
  const architecture = architectureOf('llama3');
  const slices = slicesFor(architecture, 1, { ffn: Int32Array.of(2) });
  t.deepEqual(Object.keys(slices).sort(), ['ffn.gate', 'ffn.out', 'ffn.up']);
  t.deepEqual(slicesFor(architecture, 1, {}), {});
});

test('parameters add up: groups, linear maps, whole model', (t) => {
  const llama = architectureOf('llama2');
  const block = 4 * 64 * 64 + 3 * 160 * 64;
  t.is(linearParameters(llama), 3 * block);
  t.is(totalParameters(llama), 3 * (block + 2 * 64) + 2 * 256 * 64 + 64);
  const opt = architectureOf('opt-post');
  const optBlock = 4 * 64 * 64 + 2 * 160 * 64;
  t.is(linearParameters(opt), 2 * optBlock);
  const biases = 4 * 64 + 160 + 64 + 4 * 64;
  t.is(totalParameters(opt), 2 * (optBlock + biases) + 256 * 48 + 66 * 64 + 2 * 48 * 64);
});

test('a pruned architecture lost exactly the parameters of its groups', (t) => {
  for (const name of ['llama3', 'opt-pre', 'qwen2', 'llama-bias', 'qwen3', 'gemma3', 'granite']) {
    const architecture = architectureOf(name);
    const keeps = architecture.blocks.map(
      (_, block): BlockKeep =>
        block === 0 ? { ffn: Int32Array.of(0, 1, 5), attention: Int32Array.of(0) } : {},
    );
    const pruned = prunedArchitecture(architecture, keeps);
    const { heads, kvHeads, ffn } = architecture.blocks[0]!;
    t.deepEqual(pruned.blocks[0], { ffn: 3, heads: heads / kvHeads, kvHeads: 1 });
    t.deepEqual(pruned.blocks[1], architecture.blocks[1]);
    const gone = (['ffn', 'attention'] as const).map((kind) => {
      const { weights, biases } = groupParameters(architecture, 0, kind);
      const count = kind === 'ffn' ? ffn - 3 : kvHeads - 1;
      return { weights: weights * count, biases: biases * count };
    });
    const weights = gone[0]!.weights + gone[1]!.weights;
    const all = weights + gone[0]!.biases + gone[1]!.biases;
    t.is(linearParameters(architecture) - linearParameters(pruned), weights, name);
    t.is(totalParameters(architecture) - totalParameters(pruned), all, name);
  }
});

test('heads that one norm joins are one group: all of them stay, or none', (t) => {
  const architecture = architectureOf('olmo2');
  t.is(groupCount(architecture, 0, 'attention'), 1);
  t.deepEqual(groupParameters(architecture, 0, 'attention'), {
    weights: 2 * 64 * 64 + 2 * 32 * 64,
    biases: 64 + 32,
  });
  const keep = (units: number[]) => ({ attention: Int32Array.from(units) });
  const { heads, kvHeads } = architecture.blocks[0]!;
  t.like(prunedBlock(architecture, 0, keep([0])).blocks[0], { heads, kvHeads });
  t.like(prunedBlock(architecture, 0, keep([])).blocks[0], { heads: 0, kvHeads: 0 });
  const slices = slicesFor(architecture, 0, keep([0]));
  t.is(slices['attention.qNorm']!.indices.length, 64);
  t.is(slices['attention.kNorm']!.indices.length, 32);
});

test('an expert takes its bias that only chooses along', (t) => {
  const slices = slicesFor(architectureOf('lfm2-moe'), 1, { experts: Int32Array.of(0, 4) });
  const kept = { axis: 0, indices: Int32Array.of(0, 4) } as const;
  t.deepEqual(slices, { 'experts.router': kept, 'experts.choiceBias': kept });
});

test('a token is multiplied with the experts that it passes, the shared one and the head', (t) => {
  const attention = 2 * 64 * 64 + 2 * 32 * 64;
  const experts = 6 * 64 + 2 * 3 * 32 * 64 + 3 * 40 * 64 + 64;
  t.is(multiplyAdds(architectureOf('qwen2-moe')), 2 * (attention + experts) + 256 * 64);
  const dense = architectureOf('llama3');
  t.is(multiplyAdds(dense), linearParameters(dense) + dense.vocab * dense.hidden);
});

test('an expert is its maps and its row of the router; a block may lose all of them', (t) => {
  for (const [name, site] of [
    ['qwen2-moe', 0],
    ['qwen3-moe', 2],
  ] as const) {
    const architecture = architectureOf(name);
    const { ffn, experts = 0 } = architecture.blocks[site]!;
    t.is(groupCount(architecture, site, 'experts'), experts);
    const weights = 3 * ffn * 64 + 64;
    t.deepEqual(groupParameters(architecture, site, 'experts'), { weights, biases: 0 });
    const pruned = prunedBlock(architecture, site, { experts: Int32Array.of(1, 3) });
    t.like(pruned.blocks[site], { ffn, experts: 2 });
    t.is(linearParameters(architecture) - linearParameters(pruned), weights * (experts - 2));
    const slices = slicesFor(architecture, site, { experts: Int32Array.of(1, 3) });
    t.deepEqual(slices, { 'experts.router': { axis: 0, indices: Int32Array.of(1, 3) } });
    const none = prunedBlock(architecture, site, { experts: new Int32Array() }).blocks[site]!;
    t.is(none.ffn, 0);
    t.is(none.experts, undefined);
  }
});

test('a channel inside an expert is as that of an FFN; all experts of a block lose as many', (t) => {
  const architecture = architectureOf('gpt-oss');
  const { experts = 0 } = architecture.blocks[0]!;
  t.is(groupCount(architecture, 0, 'experts.1'), 48);
  t.deepEqual(groupParameters(architecture, 0, 'experts.1'), { weights: 3 * 64, biases: 2 });
  const indices = Int32Array.of(1, 4);
  t.deepEqual(slicesFor(architecture, 0, { 'experts.1': indices }), {
    'experts.1.gate': { axis: 0, indices },
    'experts.1.gateBias': { axis: 0, indices },
    'experts.1.up': { axis: 0, indices },
    'experts.1.upBias': { axis: 0, indices },
    'experts.1.out': { axis: 1, indices },
  });
  const of = (count: number) => Object.fromEntries(keeps.slice(0, count));
  const keeps = Array.from({ length: experts }, (_, j) => [`experts.${j}`, indices] as const);
  const pruned = prunedBlock(architecture, 0, of(experts));
  t.like(pruned.blocks[0], { ffn: 2, experts });
  t.is(linearParameters(architecture) - linearParameters(pruned), experts * 46 * 3 * 64);
  t.throws(() => prunedBlock(architecture, 0, of(experts - 1)), {
    message: /experts of block 0 would have unlike widths/,
  });
  t.throws(() => groupCount(architecture, 0, 'experts.shared'), { message: /no site/ });
});

test('a KV head takes the sinks of its query heads along, an expert its biases and its entry of the router', (t) => {
  const architecture = architectureOf('gpt-oss');
  const slices = slicesFor(architecture, 0, {
    attention: Int32Array.of(1),
    experts: Int32Array.of(0, 4),
  });
  t.deepEqual(slices['attention.sinks'], { axis: 0, indices: Int32Array.of(2, 3) });
  t.deepEqual(slices['experts.router'], { axis: 0, indices: Int32Array.of(0, 4) });
  t.deepEqual(slices['experts.routerBias'], { axis: 0, indices: Int32Array.of(0, 4) });
  t.deepEqual(groupParameters(architecture, 0, 'experts'), {
    weights: 3 * 48 * 64 + 64,
    biases: 2 * 48 + 64 + 1,
  });
  t.deepEqual(groupParameters(architecture, 0, 'attention'), {
    weights: 6 * 16 * 64,
    biases: 4 * 16 + 2,
  });
});

test('refuses indices that are doubled, unsorted or out of range', (t) => {
  const architecture = architectureOf('llama2');
  for (const bad of [[1, 1], [2, 1], [160], [-1]]) {
    t.throws(() => slicesFor(architecture, 0, { ffn: Int32Array.from(bad) }), {
      code: 'ERR_ARGUMENT',
      message: /block 0, ffn/,
    });
  }
  t.throws(() => prunedArchitecture(architecture, []), { code: 'ERR_ARGUMENT' });
});
