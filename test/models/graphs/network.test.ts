/** A small network against Torch-Pruning: scripts/oracles/make-graph-fixtures.py. */
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';

import { parseSafetensors } from '../../../lib/checkpoint/container';
import { OnnxFile } from '../../../lib/models/graphs/onnx/file';
import { dimsOf } from '../../../lib/models/graphs/onnx/tensor';
import { relate } from '../../../lib/models/graphs/relate';
import { type Site, sitesOf } from '../../../lib/models/graphs/sites';
import { slice } from '../../../lib/models/graphs/slice';
import { weightsOf } from '../../../lib/models/graphs/weights';

const FIXTURES = join(__dirname, '../../fixtures/graphs');
const NETWORK = join(FIXTURES, 'network.onnx');
/** Torch-Pruning does not know that a pixel shuffle takes channels in fours. */
const SHUFFLED = 'join.weight';

let folder: string;
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'struprune-graph-'));
});
test.after.always(() => rm(folder, { recursive: true, force: true }));

function members({ along }: Site): string {
  const weights = along.filter(({ value }) => value.name.endsWith('.weight'));
  return weights
    .map(({ value, axis }) => `${value.name}:${axis}`)
    .sort()
    .join(' ');
}

test('groups are those of Torch-Pruning, and the pixel shuffle’s', (t) => {
  const file = OnnxFile.open(NETWORK);
  const network = relate(file);
  const sites = sitesOf(network);
  const groups = JSON.parse(readFileSync(join(FIXTURES, 'groups.json'), 'utf8'));
  const wanted = groups.map((group: [string, number][]) =>
    group
      .map(([name, axis]) => `${name}:${axis}`)
      .sort()
      .join(' '),
  );
  const found = sites.filter(({ name }) => name !== SHUFFLED).map(members);
  t.deepEqual(found.sort(), wanted.sort());

  const shuffled = sites.find(({ name }) => name === SHUFFLED)!;
  t.is(members(shuffled), 'hidden.weight:1 join.weight:0');
  t.is(shuffled.units, 2);
  t.true(sites.every(({ mixed }) => mixed === undefined));
  const { all, exact } = weightsOf(network);
  t.is(exact, all);
  file.close();
});

test('without units 1, 4, 7, … the file holds what Torch-Pruning leaves', async (t) => {
  const file = OnnxFile.open(NETWORK);
  const network = relate(file);
  const sites = sitesOf(network).filter(({ name }) => name !== SHUFFLED);
  const kept = ({ units }: Site) =>
    Array.from({ length: units }, (_, i) => i).filter((i) => i % 3 !== 1);
  slice(network, new Map(sites.map((site) => [site, kept(site)])));
  const path = join(folder, 'pruned.onnx');
  await file.write(path);
  file.close();

  const pruned = OnnxFile.open(path);
  const source = join(FIXTURES, 'pruned.safetensors');
  const bytes = await readFile(source);
  const wanted = new Map(parseSafetensors(source).tensors.map((tensor) => [tensor.name, tensor]));
  const { initializer, node, output } = pruned.model.graph!;
  let compared = 0;
  for (const tensor of initializer) {
    const expected = wanted.get(tensor.name);
    if (!expected) continue;
    compared++;
    t.deepEqual(dimsOf(tensor), expected.shape, tensor.name);
    const data = pruned.data(tensor);
    const { offset } = expected;
    t.deepEqual(
      Buffer.from(data.read(0, data.length)),
      bytes.subarray(offset, offset + expected.bytes),
      tensor.name,
    );
  }
  t.is(compared, [...wanted.values()].filter(({ shape }) => shape.length > 0).length);
  const groups = node.flatMap(({ attribute }) => attribute.filter(({ name }) => name === 'group'));
  t.deepEqual(
    groups
      .map(({ i }) => i)
      .filter((i) => i > 1n)
      .sort(),
    [2n, 7n],
  );
  t.is(output[0]!.name, 'classes');
  // What is known of a changed file is found anew: the same sites, with fewer units.
  const again = sitesOf(relate(pruned));
  t.deepEqual(
    again.map(({ name, units }) => [name, units]),
    [
      ...[
        ['stem.0.weight', 4],
        ['expand.0.weight', 7],
        ['squeeze.weight', 3],
        ['branch.0.weight', 3],
      ],
      ...[
        ['grouped.0.weight', 4],
        ['join.weight', 2],
        ['hidden.weight', 5],
      ],
    ],
  );
  pruned.close();
});
