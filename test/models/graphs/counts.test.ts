/** Weights and parameters of small graphs, before and after units have gone. */
import { create } from '@bufbuild/protobuf';
import test from 'ava';
import { AttributeProtoSchema, GraphProtoSchema } from '../../../lib/models/graphs/onnx/onnx_pb';
import { Counts } from '../../../lib/models/graphs/run/counts';
import { weightsOf } from '../../../lib/models/graphs/weights';
import { node, tensor, value } from './models';
import { io, keep, opened, shapes } from './opened';

test('a map that the graph turns counts once, as the file holds it', (t) => {
  const found = opened({
    ...io(['b', 4], ['b', 2]),
    initializer: [tensor('w', [6, 4]), tensor('c', [6, 2])],
    node: [
      ...[node('Transpose w -> turned', { perm: [1, 0] }), node('MatMul x turned -> h')],
      ...[node('Relu h -> r'), node('MatMul r c -> y')],
    ],
  });
  const counts = new Counts(found.network, found.sites);
  t.like(counts.after(), { weights: 36, parameters: 36 });
  t.like(counts.after([2]), { weights: 24, parameters: 24 });
  t.deepEqual(shapes(keep(found, 0, 1, 3, 5)), { w: [4, 4], c: [4, 2] });
});

test('maps inside of a branch count, and what a branch reads of the graph: they stay, for a reason with a name', (t) => {
  const branch = (name: string, map: string) =>
    create(AttributeProtoSchema, {
      name,
      g: create(GraphProtoSchema, {
        ...{ name, initializer: map === 'own' ? [tensor('own', [4, 3])] : [] },
        ...{ node: [node(`MatMul x ${map} -> ${name}`)], output: [value(name, ['b', 3])] },
      }),
    });
  const { network, sites } = opened({
    input: [value('x', ['b', 4]), value('which', [])],
    output: [value('y', ['b', 3])],
    initializer: [tensor('outer', [4, 3])],
    node: [
      Object.assign(node('If which -> y'), {
        attribute: [branch('then_branch', 'own'), branch('else_branch', 'outer')],
      }),
    ],
  });
  t.deepEqual(sites, []);
  const { all, exact, pinned } = weightsOf(network);
  t.deepEqual([all, exact, [...pinned]], [24, 0, [['If: not in the op table', 24]]]);
  t.like(new Counts(network, []).after(), { weights: 24, parameters: 24 });
});
