/** Sites that are read by the same map, each cut in two ways. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { OnnxFile } from '../../../lib/models/graphs/onnx/file';
import { relate } from '../../../lib/models/graphs/relate';
import { JointWeights } from '../../../lib/models/graphs/run/joint-weights';
import { prunedSites } from '../../../lib/models/graphs/run/sites';
import { tensorFloats, weightOf } from '../../../lib/models/graphs/run/weights';
import { model, node, tensor, value } from './models';
import { folderOf } from './pruned';

const OUT = 2;

test('a site goes to its other cut and back, and what sites behind have changed stays', async (t) => {
  const folder = folderOf(t);
  const path = join(folder, 'two.onnx');
  const last = tensor('w', [6, OUT]);
  const dense = new Float32Array(last.rawData.buffer);
  dense.forEach((_, i) => {
    dense[i] = i + 1;
  });
  const wanted = Float32Array.from(dense);
  const graph = {
    input: [value('x', ['batch', 3])],
    output: [value('y', ['batch', OUT])],
    initializer: [tensor('a', [3, 3]), tensor('b', [3, 3]), last],
    node: [
      node('MatMul x a -> p'),
      node('MatMul x b -> q'),
      node('Concat p q -> c', { axis: 1 }),
      node('MatMul c w -> y'),
    ],
  };
  writeFileSync(path, model(graph));
  using file = OnnxFile.open(path);
  const { sites } = prunedSites(relate(file), { fits: true, scope: 'all' });
  const [a, b] = ['a', 'b'].map((name) => sites.find(({ site }) => site.name === name)!.readers);
  const map = a![0]!.map.tensor!;
  t.is(map, b![0]!.map.tensor!);
  /** `[out, columns]` of three columns, each as it is times a number. */
  const times = (readers: typeof a, factors: readonly number[]) => {
    const [reader] = readers!;
    const weight = weightOf(file, reader!).map((each, i) => each * factors[i % 3]!);
    return { reader: reader!, weight, shift: null };
  };
  const now = () => [...tensorFloats(file, map)];
  const rows = (factors: readonly number[]) =>
    [...wanted].map((each, i) => each * factors[Math.floor(i / OUT)]!);
  const kept = join(folder, 'kept');
  {
    using weights = new JointWeights(file, kept);
    await weights.putOther(0, a!, [times(a, [0, 0, 2])]);
    t.deepEqual(now(), rows([1, 1, 1, 1, 1, 1]));
    weights.put(0, a!, [times(a, [0, 1, 1])]);
    // The second site's refit changes what is left of the first one's columns.
    weights.put(1, b!, [times(b, [1, 0, 3]), times(a, [0, 5, 5])]);
    const joint = rows([0, 5, 5, 1, 0, 3]);
    t.deepEqual(now(), joint);
    t.deepEqual(weights.others, [0]);
    const other = await weights.withOther(0, async () => now());
    // What is gone is gone; what stays goes from one cut to the other beside what the second site did.
    t.deepEqual(other, rows([0, 0, 6, 1, 0, 3]));
    t.deepEqual(now(), joint);
    t.true(existsSync(kept));
  }
  t.false(existsSync(kept));
});
