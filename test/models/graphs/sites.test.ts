/** Sites of graphs in which one thing is special. */
import { create } from '@bufbuild/protobuf';
import test from 'ava';

import { StruPruneError } from '../../../lib/errors';
import { AttributeProtoSchema, GraphProtoSchema } from '../../../lib/models/graphs/onnx/onnx_pb';
import { dimsOf } from '../../../lib/models/graphs/onnx/tensor';
import type { Network } from '../../../lib/models/graphs/relate';
import type { Site } from '../../../lib/models/graphs/sites';
import { weightsOf } from '../../../lib/models/graphs/weights';
import { node, sizes, tensor, value } from './models';
import { constants, io, keep, opened, shapes } from './opened';

const brief = (sites: Site[]) =>
  sites.map(({ name, units, along, mixed }) => [
    name,
    units,
    along.map(({ value, axis, units: each }) => `${value.name}.${axis}/${each.length}`).join(' '),
    ...(mixed === undefined ? [] : [mixed]),
  ]);

test('heads: query, key and value in one map, cut by a reshape whose sizes are rewritten', (t) => {
  const graph = {
    ...io(['b', 's', 8], ['b', 's', 8]),
    initializer: [
      ...[tensor('qkv', [8, 36]), tensor('out', [12, 8])],
      ...[sizes('cut', [0, 0, 3, 4, 3]), sizes('back', [0, 0, 12]), sizes('axis', [0])],
      ...[0, 1, 2].map((i) => ({ ...sizes(`i${i}`, [i]), dims: [] })),
    ],
    node: [
      ...[node('MatMul x qkv -> a'), node('Reshape a cut -> b5')],
      node('Transpose b5 -> c', { perm: [2, 0, 3, 1, 4] }),
      ...['q', 'k', 'v'].map((name, i) => node(`Gather c i${i} -> ${name}`)),
      ...[node('Transpose k -> kt', { perm: [0, 1, 3, 2] }), node('MatMul q kt -> scores')],
      ...[node('Softmax scores -> p', { axis: -1 }), node('MatMul p v -> o')],
      ...[node('Transpose o -> ot', { perm: [0, 2, 1, 3] }), node('Reshape ot back -> z')],
      node('MatMul z out -> y'),
    ],
  };
  const found = opened(graph);
  t.deepEqual(brief(found.sites), [['qkv', 4, 'qkv.1/36 out.0/12']]);
  const [use] = found.sites[0]!.readers;
  t.deepEqual([...use!.units], [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]);
  const network = keep(found, 0, 3);
  t.like(shapes(network), { qkv: [8, 18], out: [6, 8] });
  t.deepEqual(constants(network), [
    [0, 0, 3, 2, 3],
    [0, 0, 6],
  ]);
});

test('a layer norm is computed across its axis, whole or in parts', (t) => {
  const layers = (norm: ReturnType<typeof node>[]) => ({
    ...io(['b', 4], ['b', 2]),
    initializer: [
      ...[tensor('in', [4, 6]), tensor('scale', [6]), tensor('bias', [6]), tensor('out', [6, 2])],
      ...[
        { ...tensor('two', [1]), dims: [] },
        { ...tensor('eps', [1]), dims: [] },
      ],
    ],
    node: [node('MatMul x in -> a'), ...norm, node('MatMul n out -> y')],
  });
  const whole = layers([node('LayerNormalization a scale bias -> n', { axis: -1 })]);
  const parts = layers([
    ...[node('ReduceMean a -> m', { axes: [-1] }), node('Sub a m -> d'), node('Pow d two -> s')],
    ...[node('ReduceMean s -> v', { axes: [-1] }), node('Add v eps -> e'), node('Sqrt e -> r')],
    ...[node('Div d r -> u'), node('Mul u scale -> w'), node('Add w bias -> n')],
  ]);
  const along = 'in.1/6 scale.0/6 bias.0/6 out.0/6';
  t.deepEqual(brief(opened(whole).sites), [
    ['in', 6, along, 'LayerNormalization averages over it'],
  ]);
  t.deepEqual(brief(opened(parts).sites), [['in', 6, along, 'ReduceMean averages over it']]);
});

test('parts of an axis are sites of their own, and bounds move with what is gone', (t) => {
  const found = opened({
    ...io(['b', 4], ['b', 5]),
    initializer: [
      ...[tensor('in', [4, 10]), tensor('left', [3, 5]), tensor('right', [7, 5])],
      ...[sizes('zero', [0]), sizes('three', [3]), sizes('end', [2 ** 31 - 1]), sizes('axis', [1])],
    ],
    node: [
      ...[node('MatMul x in -> a'), node('Slice a zero three axis -> l')],
      ...[node('Slice a three end axis -> r'), node('MatMul l left -> p')],
      ...[node('MatMul r right -> q'), node('Add p q -> y')],
    ],
  });
  t.deepEqual(brief(found.sites), [
    ['in', 3, 'in.1/3 left.0/3'],
    ['in', 7, 'in.1/7 right.0/7'],
  ]);
  const network = keep(found, 1);
  t.like(shapes(network), { in: [4, 8], left: [1, 5], right: [7, 5] });
  t.deepEqual(constants(network), [[0], [1], [1], [2 ** 31 - 1]]);
});

test('an LSTM’s unit is a row of every gate in both directions', (t) => {
  const found = opened({
    ...io([7, 'b', 3], [7, 'b', 2]),
    initializer: [
      ...[tensor('w', [2, 20, 3]), tensor('r', [2, 20, 5]), tensor('b', [2, 40])],
      ...[tensor('out', [10, 2]), sizes('shape', [7, -1, 10])],
    ],
    node: [
      node('LSTM x w r b -> h', { hidden_size: 5, direction: 'bidirectional' }),
      node('Transpose h -> t', { perm: [0, 2, 1, 3] }),
      ...[node('Reshape t shape -> f'), node('MatMul f out -> y')],
    ],
  });
  t.deepEqual(brief(found.sites), [['w', 5, 'w.1/20 r.1/20 r.2/5 b.1/40 out.0/10']]);
  const network = keep(found, 0, 4);
  t.like(shapes(network), { w: [2, 8, 3], r: [2, 8, 2], b: [2, 16], out: [4, 2] });
  t.deepEqual(constants(network), [[7, -1, 4]]);
  const [, lstm] = network.graph.node;
  t.is(lstm!.attribute[0]!.i, 2n);
});

/** Two steps' states from the caller for two layers in one tensor, and back; of the second one the last state is read where asked. */
function stateful(read: string, given = true) {
  return opened({
    input: [value('x', [7, 1, 3]), value('states', [2, 1, 5])],
    output: [value('y', [1, 1, 2]), value('after', [2, 1, 5])],
    initializer: [
      ...[tensor('w', [1, 15, 3]), tensor('r', [1, 15, 5])],
      ...[tensor('v', [1, 15, 5]), tensor('q', [1, 15, 5])],
      ...[tensor('out', [5, 2]), sizes('half', [1, 1]), sizes('last', [6]), sizes('axis', [1])],
    ],
    node: [
      node('Split states half -> h0 h1', { axis: 0 }),
      node(`GRU x w r _ _ ${given ? 'h0' : '_'} -> a a1`, { hidden_size: 5 }),
      node('Squeeze a axis -> s'),
      node(`GRU s v q _ _ ${given ? 'h1' : '_'} -> b b1`, { hidden_size: 5 }),
      ...[node('Concat a1 b1 -> after', { axis: 0 }), node('Squeeze b axis -> u')],
      node(`MatMul ${read} out -> y`),
    ].map((each) => {
      each.input = each.input.map((name) => (name === '_' ? '' : name));
      return each;
    }),
  });
}

test('states of the caller leave a layer’s units free where they only come and go', (t) => {
  const found = stateful('u');
  t.deepEqual(
    found.sites.map(({ name, units }) => [name, units]),
    [
      ['w', 5],
      ['v', 5],
    ],
  );
  t.deepEqual([...found.network.states], ['after']);
  const network = keep(found, 1, 3);
  t.like(shapes(network), { w: [1, 6, 3], r: [1, 6, 2], v: [1, 15, 2], q: [1, 15, 5] });
  const around = network.graph.node.filter(({ opType }) => ['Gather', 'Pad'].includes(opType));
  t.deepEqual(
    around.map(({ opType, output }) => [opType, output.includes('a1')]),
    [
      ['Gather', false],
      ['Pad', false],
      ['Gather', true],
    ],
  );
  t.deepEqual(constants(network), [
    [1, 3],
    [0, 0, 0, 0, 0, 1],
    [2, 0, 2, 1, 2],
  ]);
});

test('a state that something reads stays, and so does one that the caller does not give', (t) => {
  // Of the second layer what comes out is an answer too.
  const read = stateful('b1');
  t.deepEqual(
    read.sites.map(({ name }) => name),
    ['w'],
  );
  const own = stateful('u', false);
  t.deepEqual(own.sites, []);
  t.is(own.network.states.size, 0);
});

test('a bias that two layers share couples nothing, and is stored twice when they differ', (t) => {
  const found = opened({
    ...io(['b', 4], ['b', 2]),
    initializer: [
      tensor('a', [4, 3]),
      tensor('c', [3, 3]),
      tensor('d', [3, 2]),
      tensor('bias', [3]),
    ],
    node: [
      ...[node('MatMul x a -> p'), node('Add p bias -> q'), node('MatMul q c -> r')],
      ...[node('Add r bias -> s'), node('MatMul s d -> y')],
    ],
  });
  t.deepEqual(brief(found.sites), [
    ['a', 3, 'a.1/3 c.0/3 bias.0/3'],
    ['c', 3, 'c.1/3 d.0/3 bias.0/3'],
  ]);
  const network = keep(found, 1);
  const [own] = network.graph.node;
  t.deepEqual([own!.opType, ...dimsOf(own!.attribute[0]!.t!)], ['Constant', 3]);
  t.like(shapes(network), { a: [4, 1], c: [1, 3], bias: [1] });
});

test('onnxruntime’s attention loses heads of all three parts', (t) => {
  const attention = node('Attention x w bias -> a', { num_heads: 4 });
  const found = opened({
    ...io(['b', 's', 8], ['b', 's', 8]),
    initializer: [tensor('w', [8, 36]), tensor('bias', [36]), tensor('out', [12, 8])],
    node: [Object.assign(attention, { domain: 'com.microsoft' }), node('MatMul a out -> y')],
  });
  t.deepEqual(brief(found.sites), [['w', 4, 'w.1/36 bias.0/36 out.0/12']]);
  const network = keep(found, 1, 2, 3);
  t.like(shapes(network), { w: [8, 27], bias: [27], out: [9, 8] });
  t.is(network.graph.node[0]!.attribute[0]!.i, 3n);
});

test('what is not understood is pinned, and named', (t) => {
  const { network, sites } = opened({
    ...io(['b', 4], ['b', 2]),
    initializer: [tensor('a', [4, 3]), tensor('c', [3, 2])],
    node: [node('MatMul x a -> p'), node('Strange p -> q'), node('MatMul q c -> y')],
  });
  t.deepEqual(sites, []);
  t.is(network.unknown[0]!.node.opType, 'Strange');
  const { all, exact, pinned } = weightsOf(network);
  t.deepEqual([all, exact], [18, 0]);
  const behind = ', and shapes behind it are not known';
  t.deepEqual([...pinned.keys()].sort(), [
    'Strange: not in the op table',
    `Strange: not in the op table${behind}`,
    'an input of the model',
  ]);
});

test('an op that is not known hides what is behind it, unless its shape is stated', (t) => {
  const graph = {
    ...io(['b', 4], ['b', 2]),
    initializer: [tensor('a', [4, 3]), tensor('c', [3, 6]), tensor('d', [6, 2])],
    node: [
      ...[node('MatMul x a -> p'), node('Strange p -> q'), node('MatMul q c -> r')],
      ...[node('Relu r -> s'), node('MatMul s d -> y')],
    ],
  };
  const hidden = opened(graph);
  t.deepEqual(hidden.sites, []);
  const { pinned } = weightsOf(hidden.network);
  t.deepEqual(
    [...pinned.keys()].filter((reason) => !/^Strange: not in the op table/.test(reason)),
    ['an input of the model'],
  );
  const stated = opened({ ...graph, valueInfo: [value('q', ['b', 3])] });
  t.deepEqual(brief(stated.sites), [['c', 6, 'c.1/6 d.0/6']]);
});

test('inputs and outputs of the model stay', (t) => {
  const graph = {
    ...io(['b', 4], ['b', 2]),
    initializer: [tensor('a', [4, 2])],
    node: [node('MatMul x a -> y')],
  };
  const { network, sites } = opened(graph);
  t.deepEqual(sites, []);
  const reasons = [...weightsOf(network).pinned.keys()];
  t.deepEqual(reasons.sort(), ['an input of the model', 'an output of the model']);
});

test('a size that is read off a changed shape stays where it is computed with', (t) => {
  const found = opened({
    ...io(['b', 4], ['b', 2]),
    initializer: [tensor('a', [4, 6]), tensor('c', [6, 2]), { ...sizes('one', [1]), dims: [] }],
    node: [
      ...[node('MatMul x a -> p'), node('Shape p -> s'), node('Gather s one -> n')],
      ...[node('Cast n -> f', { to: 1 }), node('Sqrt f -> r'), node('Div p r -> q')],
      node('MatMul q c -> y'),
    ],
  });
  t.is(found.sites[0]!.units, 6);
  const network = keep(found, 2, 3);
  t.deepEqual(constants(network), [[6]]);
  t.deepEqual(
    network.graph.node.map(({ opType }) => opType),
    ['Constant', 'MatMul', 'Cast', 'Sqrt', 'Div', 'MatMul'],
  );
});

test('an axis whose size the model gives out stays', (t) => {
  const { sites } = opened({
    input: [value('x', ['b', 4])],
    output: [value('y', ['b', 2]), value('s', [2])],
    initializer: [tensor('a', [4, 6]), tensor('c', [6, 2])],
    node: [node('MatMul x a -> p'), node('Shape p -> s'), node('MatMul p c -> y')],
  });
  t.deepEqual(sites, []);
});

test('an opset that is not known is refused', (t) => {
  const graph = { ...io(['b', 4], ['b', 4]), node: [node('Relu x -> y')] };
  for (const opset of [10, 99]) {
    const error = t.throws(() => opened(graph, opset), { instanceOf: StruPruneError });
    t.is(error.code, 'ERR_UNSUPPORTED');
    t.regex(error.message, /opset/);
  }
});

test('what only a graph within a node reads is kept', (t) => {
  const branch = (name: string) => ({
    name,
    node: [node(`Relu q -> ${name}`)],
    output: [value(name, ['b', 6])],
  });
  const choice = node('If w -> z');
  choice.attribute = ['then_branch', 'else_branch'].map((name) =>
    create(AttributeProtoSchema, { name, type: 5, g: create(GraphProtoSchema, branch(name)) }),
  );
  const found = opened({
    input: [value('x', ['b', 4]), value('w', [])],
    output: [value('y', ['b', 2]), value('z', ['b', 6])],
    initializer: [tensor('a', [4, 6]), tensor('c', [6, 2]), tensor('d', [4, 6])],
    node: [
      node('MatMul x d -> q'),
      choice,
      node('MatMul x a -> p'),
      node('Relu x -> unused'),
      node('MatMul p c -> y'),
    ],
  });
  const network = keep(found, 2, 3);
  t.deepEqual(
    network.graph.node.map(({ output }) => output),
    [['q'], ['z'], ['p'], ['y']],
  );
  t.deepEqual(
    network.graph.initializer.map(({ name }) => name),
    ['a', 'c', 'd'],
  );
});

/** Two products with a view between them and one behind, whose sizes may be zeros. */
const viewed = (cut: number[], back: number[]) => ({
  ...io(['b', 4], ['b', 2]),
  initializer: [
    ...[tensor('in', [4, 6]), tensor('out', [6, 2])],
    ...[sizes('cut', cut), sizes('back', back)],
  ],
  node: [
    ...[node('MatMul x in -> a'), node('Reshape a cut -> c', { allowzero: 1 })],
    ...[node('Relu c -> r'), node('Reshape r back -> d', { allowzero: 1 })],
    node('MatMul d out -> y'),
  ],
});

test('a reshape that allows zeros is cut where it has none', (t) => {
  const found = opened(viewed([-1, 2, 3], [-1, 6]));
  t.deepEqual(brief(found.sites), [['in', 2, 'in.1/6 out.0/6']]);
  const network = keep(found, 1);
  t.deepEqual(constants(network), [
    [-1, 1, 3],
    [-1, 3],
  ]);
  const reshapes = network.graph.node.filter(({ opType }) => opType === 'Reshape');
  t.deepEqual(
    reshapes.flatMap(({ attribute }) => attribute.map(({ name }) => name)),
    [],
  );
  const { network: empty, sites } = opened(viewed([0, -1, 3], [-1, 6]));
  t.deepEqual(sites, []);
  t.is(empty.unknown[0]!.why, 'it makes an axis of no positions');
});

/** Nodes that are no constants, as text. */
const made = ({ graph }: Network) =>
  graph.node
    .filter(({ opType }) => opType !== 'Constant')
    .map(({ opType, input }) => `${opType} ${input[0]}`);

test('heads that share an axis with the batch go, as PyTorch’s newer exporter turns keys', (t) => {
  const found = opened({
    ...io(['b', 's', 8], ['b', 's', 8]),
    initializer: [
      ...['q', 'k', 'v'].map((name) => tensor(name, [8, 12])),
      ...[tensor('out', [12, 8]), sizes('cut', [0, 0, 4, 3]), sizes('joined', [0, 0, 12])],
      ...[0, 1, 2, 3].map((i) => sizes(`i${i}`, [i])),
      sizes('rest', [-1]),
    ],
    node: [
      ...['q', 'k', 'v'].flatMap((name) => [
        node(`MatMul x ${name} -> ${name}1`),
        node(`Reshape ${name}1 cut -> ${name}2`),
        node(`Transpose ${name}2 -> ${name}3`, { perm: [0, 2, 1, 3] }),
      ]),
      node('Shape k3 -> all'),
      ...[0, 1, 2, 3].map((i) => node(`Gather all i${i} -> n${i}`)),
      ...[node('Concat rest n2 n3 -> flat', { axis: 0 }), node('Reshape k3 flat -> k4')],
      node('Transpose k4 -> k5', { perm: [0, 2, 1] }),
      ...[node('Concat n0 n1 n3 n2 -> apart', { axis: 0 }), node('Reshape k5 apart -> kt')],
      ...[node('MatMul q3 kt -> scores'), node('Softmax scores -> p', { axis: -1 })],
      ...[node('MatMul p v3 -> o'), node('Transpose o -> ot', { perm: [0, 2, 1, 3] })],
      ...[node('Reshape ot joined -> z'), node('MatMul z out -> y')],
    ],
  });
  t.deepEqual(brief(found.sites), [['q', 4, 'q.1/12 k.1/12 v.1/12 out.0/12']]);
  const network = keep(found, 0, 2, 3);
  t.like(shapes(network), { q: [8, 9], k: [8, 9], v: [8, 9], out: [9, 8] });
  // The length is read off what is reshaped; what is left over is the batch.
  t.true(made(network).includes('Shape k3') && made(network).includes('Shape k5'));
  t.deepEqual(
    constants(network).filter((each) => each.includes(-1)),
    [
      [-1, 0, 3],
      [-1, 3, 3, 0],
    ],
  );
});

test('channels in front of a batch on one axis are not those behind it', (t) => {
  const flattened = (from: string) =>
    opened({
      ...io(['b', 6], ['b', 2]),
      initializer: [
        ...[tensor('in', [6, 4]), tensor('out', [4, 2])],
        ...[sizes('flat', [-1]), sizes('cut', [-1, 4])],
      ],
      node: [
        ...[node('MatMul x in -> a'), node('Transpose a -> c', { perm: [1, 0] })],
        ...[node(`Reshape ${from} flat -> f`), node('Reshape f cut -> d')],
        node('MatMul d out -> y'),
      ],
    });
  t.deepEqual(brief(flattened('a').sites), [['in', 4, 'in.1/4 out.0/4']]);
  t.deepEqual(flattened('c').sites, []);
});

test('sizes that are computed stay, and those beside them are written', (t) => {
  const found = opened({
    input: [value('x', ['b', 's', 4])],
    output: [value('y', ['b', 's', 2])],
    initializer: [
      ...[tensor('in', [4, 6]), tensor('out', [6, 2]), tensor('token', [1, 1, 1])],
      ...[sizes('flat', [-1, 4]), sizes('six', [6])],
      ...[0, 1].map((i) => sizes(`i${i}`, [i])),
    ],
    node: [
      ...[node('Shape x -> all'), node('Gather all i0 -> b'), node('Gather all i1 -> s')],
      ...[node('Reshape x flat -> f'), node('MatMul f in -> a')],
      ...[node('Concat b s six -> wide', { axis: 0 }), node('Reshape a wide -> c')],
      ...[node('Expand token wide -> e'), node('Add c e -> d'), node('MatMul d out -> y')],
    ],
  });
  t.deepEqual(brief(found.sites), [['in', 6, 'in.1/6 out.0/6']]);
  const network = keep(found, 1, 5);
  const own = made(network).filter((each) => /^(Concat|Gather) struprune/.test(each));
  t.is(own.length, 4);
  t.is(constants(network).filter((each) => String(each) === '0,0,2').length, 2);
});

test('channels that are looked up by constants go, and what is looked up moves', (t) => {
  const graph = (indices: ReturnType<typeof sizes>) => ({
    ...io(['b', 4, 5], ['b', 2, 5]),
    initializer: [
      ...[tensor('in', [6, 4, 1]), tensor('out', [2, 4, 1]), tensor('one', [2, 1, 1])],
      ...[indices, sizes('axis', [1])],
    ],
    node: [
      ...[node('Conv x in -> a'), node('Gather a chosen -> c', { axis: 1 })],
      ...(indices.dims.length === 0
        ? [node('Unsqueeze c axis -> d'), node('Conv d one -> y')]
        : [node('Conv c out -> y')]),
    ],
  });
  const found = opened(graph(sizes('chosen', [5, 0, -3, 1])));
  // Units 2 and 4 are read by nothing.
  t.deepEqual(
    found.sites.map(({ units, readers }) => [units, readers.length]),
    [
      [4, 1],
      [2, 0],
    ],
  );
  // 0, 1, 3 and 5 are its units: 0 and 3 stay.
  const network = keep(found, 0, 2);
  t.like(shapes(network), { in: [4, 4, 1], out: [2, 2, 1] });
  t.deepEqual(constants(network), [[0, 2]]);
  const single = opened(graph({ ...sizes('chosen', [4]), dims: [] }));
  t.deepEqual(
    single.sites.map(({ units }) => units),
    [5],
  );
  t.deepEqual(constants(keep(single, 0, 1, 4)), [[2]]);
});

test('inputs that are missing or have too few axes are not understood', (t) => {
  for (const [text, why] of [
    ['Conv x flat -> y', 'flat has too few axes'],
    ['ConvTranspose x flat -> y', 'flat has too few axes'],
    ['Equal -> y', 'it has no inputs'],
  ] as const) {
    const graph = { ...io(['b', 4, 5], ['b', 2, 5]), initializer: [tensor('flat', [4])] };
    const { network } = opened({ ...graph, node: [node(text)] });
    t.deepEqual(
      network.unknown.map((each) => each.why),
      [why],
    );
  }
});

test('an axis that a small file only claims takes no memory', (t) => {
  const { network, sites } = opened({
    ...io(['b', 4], ['b', 2]),
    initializer: [tensor('in', [4, 6]), tensor('out', [6, 2]), sizes('wide', [-1, 2 ** 24])],
    node: [
      ...[node('MatMul x in -> a'), node('Reshape a wide -> c')],
      ...[node('Relu c -> d'), node('MatMul d out -> y')],
    ],
  });
  t.true(network.axes.slots < 100);
  t.deepEqual(sites, []);
});

test('a resize that states to stretch keeps its channels free', (t) => {
  const resized = (policy: string) =>
    opened({
      ...io(['b', 3, 4, 4], ['b', 2, 8, 8]),
      initializer: [
        ...[tensor('in', [6, 3, 1, 1]), tensor('out', [2, 6, 1, 1])],
        ...[sizes('to', [8, 8]), { ...tensor('none', [0]), dims: [0n] }],
      ],
      node: [
        node('Conv x in -> a'),
        node('Resize a none none to -> c', { axes: [2, 3], keep_aspect_ratio_policy: policy }),
        node('Conv c out -> y'),
      ],
    });
  t.deepEqual(brief(resized('stretch').sites), [['in', 6, 'in.0/6 out.1/6']]);
  t.deepEqual(resized('not_larger').sites, []);
});
