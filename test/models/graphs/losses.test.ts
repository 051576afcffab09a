/** Losses of outputs against numbers by hand, and which loss an output has. */
import test from 'ava';
import type { Network } from '../../../lib/models/graphs/relate';
import { Losses, type LossKind, lossesOf } from '../../../lib/models/graphs/run/losses';
import { node, value } from './models';

const output = (values: number[], width: number) => ({
  y: { type: 'float32', data: Float32Array.from(values), dims: [values.length / width, width] },
});

function lossOf(kind: LossKind, dense: number[], now: number[], width: number) {
  const losses = new Losses([{ output: 'y', kind }]);
  losses.add(output(dense, width), output(now, width));
  return losses;
}

const near = (a: number, b: number) => Math.abs(a - b) <= 1e-6 * Math.max(1, Math.abs(b));

test('KL of probabilities and of logits, in nats a row', (t) => {
  const [p, q] = [
    [0.5, 0.5, 0.9, 0.1],
    [0.25, 0.75, 0.6, 0.4],
  ];
  const wanted =
    (0.5 * Math.log(2) + 0.5 * Math.log(0.5 / 0.75) + 0.9 * Math.log(1.5) + 0.1 * Math.log(0.25)) /
    2;
  const probabilities = lossOf('KL of probabilities', p!, q!, 2);
  t.true(near(probabilities.mean, wanted));
  t.is(probabilities.agreement, 0.5);
  const logits = (values: number[]) => values.map((each) => Math.log(each) + 7);
  t.true(near(lossOf('KL of logits', logits(p!), logits(q!), 2).mean, wanted));
});

test('1 - cosine a row, and the relative error of all', (t) => {
  const cosines = lossOf('1 - cosine', [1, 0, 3, 4], [0, 2, 6, 8], 2);
  t.true(near(cosines.mean, 0.5));
  t.is(cosines.agreement, null);
  t.true(near(lossOf('relative error', [1, 2, 2, 0], [1, 2, 0, 1], 2).mean, 5 / 9));
  // Noise of a sigmoid about nothing is nothing.
  t.true(lossOf('relative error', [6e-8, 0], [0, 6e-8], 2).mean < 1e-4);
});

test('batches add up, and several outputs count alike', (t) => {
  const losses = new Losses([
    { output: 'y', kind: 'relative error' },
    { output: 'z', kind: '1 - cosine' },
  ]);
  for (const [dense, now] of [
    [1, 2],
    [3, 3],
  ]) {
    const [a, b] = [output([dense!], 1), output([now!], 1)];
    losses.add({ ...a, z: a.y }, { ...b, z: b.y });
  }
  t.true(near(losses.mean, 0.1 / 2));
});

test('by the op that makes an output, behind copies, and by its name', (t) => {
  const names = ['a', 'b', 'class_logits', 'd', 'sentence_embedding', 'f', 'g'];
  const nodes = [
    'Softmax x -> s',
    'Identity s -> a',
    'LogSoftmax x -> b',
    'Relu x -> class_logits',
  ];
  nodes.push('LpNormalization x -> d', 'Tanh x -> sentence_embedding', 'Relu x -> f');
  const graph = {
    output: names.map((name) => value(name, [1, 2])),
    node: nodes.map((n) => node(n)),
  };
  t.deepEqual(
    lossesOf({ graph, values: new Map(), states: new Set(['g']) } as never as Network).map(
      ({ kind }) => kind,
    ),
    [
      ...['KL of probabilities', 'KL of logits', 'KL of logits', '1 - cosine', '1 - cosine'],
      'relative error',
    ],
  );
});

test('the caller’s, of all outputs of a batch, however they come', (t) => {
  const outputs = ['y', 'z'].map((output) => ({ output, kind: 'own' as const }));
  const losses = new Losses(outputs, (dense, now) =>
    Math.abs(Number(now.y!.data[0]) - Number(dense.z!.data[0])),
  );
  const of = (value: number, samples: number) => ({
    ...{ type: 'float32', data: new Float32Array(samples).fill(value), dims: [samples] },
  });
  const dense = [2, 6].map((value, i) => ({ y: of(0, 3 - i), z: of(value, 3 - i) }));
  dense.forEach((each, i) => {
    losses.add(each, { y: of(1, 3 - i) }, i);
  });
  t.is(losses.mean, 0);
  dense.forEach((each, i) => {
    losses.add(each, { z: of(9, 3 - i) }, i);
  });
  t.is(losses.mean, (3 * 1 + 2 * 5) / 5);
  t.is(losses.agreement, null);
  for (const value of [-1, Number.NaN, 'much']) {
    const odd = new Losses(outputs.slice(0, 1), () => value as number);
    t.throws(() => odd.add(dense[0]!, dense[0]!), {
      code: 'ERR_ARGUMENT',
      message: /the own loss is/,
    });
  }
});
