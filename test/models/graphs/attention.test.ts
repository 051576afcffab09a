/** Heads of ops that attend. That sliced files compute the same is tested in test/real/graphs.test.ts. */
import test from 'ava';

import { weightsOf } from '../../../lib/models/graphs/weights';
import { node, tensor, value } from './models';
import { constants, io, keep, opened, shapes } from './opened';

const MICROSOFT = { domain: 'com.microsoft' };

/** 4 heads of queries and 2 of keys, 3 wide; `more`: further inputs of the op, `read`: what reads the present keys. */
function grouped({ more = '', read = 'Identity', attributes = {} } = {}) {
  const attention = node(
    `GroupQueryAttention q k v past_k past_v lengths total${more} -> a present_k present_v`,
    { num_heads: 4, kv_num_heads: 2, ...attributes },
  );
  const { input, output } = io([1, 5, 8], [1, 5, 8]);
  const past = ['past_k', 'past_v'].map((name) => value(name, [1, 2, 'past', 3]));
  return opened({
    input: [...input, ...past, value('lengths', [1]), value('total', [])],
    output: [...output, value('kept_k', [1, 2, 'all', 3]), value('kept_v', [1, 2, 'all', 3])],
    initializer: [
      ...[tensor('wq', [8, 12]), tensor('wk', [8, 6]), tensor('wv', [8, 6])],
      ...[tensor('out', [12, 8]), tensor('bias', [1, 4, 5, 9]), tensor('sink', [4])],
      tensor('scale', [1]),
    ],
    node: [
      ...[node('MatMul x wq -> q'), node('MatMul x wk -> k'), node('MatMul x wv -> v')],
      Object.assign(attention, MICROSOFT),
      ...[node(`${read} present_k -> kept_k`), node('Identity present_v -> kept_v')],
      node('MatMul a out -> y'),
    ].map((each) => {
      each.input = each.input.map((name) => (name === '_' ? '' : name));
      return each;
    }),
  });
}

test('a head of keys goes with its queries’, and keys that the caller keeps have their size', (t) => {
  const found = grouped({ more: ' _ _ _ bias sink' });
  t.deepEqual(
    found.sites.map(({ name, units }) => [name, units]),
    [['wq', 2]],
  );
  t.deepEqual([...found.network.states].sort(), ['kept_k', 'kept_v']);
  const network = keep(found, 1);
  t.like(shapes(network), {
    ...{ wq: [8, 6], wk: [8, 3], wv: [8, 3], out: [6, 8] },
    ...{ bias: [1, 2, 5, 9], sink: [2] },
  });
  const { node: nodes } = network.graph;
  const { attribute } = nodes.find(({ opType }) => opType === 'GroupQueryAttention')!;
  t.deepEqual(
    attribute.map(({ name, i }) => [name, i]),
    [
      ['num_heads', 2n],
      ['kv_num_heads', 1n],
    ],
  );
  // Of the past head 1 alone is read; in front of what is present come zeros.
  t.deepEqual(
    nodes.filter(({ opType }) => ['Gather', 'Pad'].includes(opType)).map(({ opType }) => opType),
    ['Gather', 'Gather', 'Pad', 'Gather', 'Pad', 'Gather'],
  );
  t.deepEqual(constants(network).slice(0, 3), [[1], [0, 0, 0, 0, 0, 1, 0, 0], [1, 0]]);
});

test('where keys that are kept are computed with, their heads stay, and queries of each go', (t) => {
  const found = grouped({ read: 'Relu' });
  t.is(found.network.states.size, 1);
  const [site] = found.sites;
  // The first and the second query of each head of keys.
  t.deepEqual([site!.name, site!.units], ['wq', 2]);
  t.deepEqual([...site!.readers[0]!.units], [0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1]);
  const network = keep(found, 0);
  t.like(shapes(network), { wq: [8, 6], wk: [8, 6], wv: [8, 6], out: [6, 8] });
});

for (const [what, options, reason] of [
  ['keys in few bits', { attributes: { k_quant_type: 'PER_TENSOR' } }, /kept.* quantised/],
  ['three heads of keys', { attributes: { kv_num_heads: 3 } }, /not as many for each/],
] as const) {
  test(`${what}: pinned, and named`, (t) => {
    const { network, sites } = grouped(options);
    t.deepEqual(sites, []);
    t.regex(network.unknown[0]!.why, reason);
    t.true([...weightsOf(network).pinned.keys()].some((why) => reason.test(why)));
  });
}

test('of ONNX’s attention a mask of its own for each head is cut with them', (t) => {
  const found = opened(
    {
      ...io([2, 5, 8], [2, 5, 8]),
      initializer: [
        ...[tensor('wq', [8, 12]), tensor('wk', [8, 12]), tensor('wv', [8, 8])],
        ...[tensor('out', [8, 8]), tensor('mask', [4, 5, 5])],
      ],
      node: [
        ...[node('MatMul x wq -> q'), node('MatMul x wk -> k'), node('MatMul x wv -> v')],
        node('Attention q k v mask -> a', { q_num_heads: 4, kv_num_heads: 4 }),
        node('MatMul a out -> y'),
      ],
    },
    23,
  );
  const network = keep(found, 0, 2, 3);
  t.like(shapes(network), { wq: [8, 9], wk: [8, 9], wv: [8, 6], out: [6, 8], mask: [3, 5, 5] });
  const { attribute } = network.graph.node.find(({ opType }) => opType === 'Attention')!;
  t.deepEqual(
    attribute.map(({ i }) => i),
    [3n, 3n],
  );
});
