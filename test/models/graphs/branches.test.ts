/** An If whose condition is known gives way to its branch: the same values, and no axis that it holds. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import test, { type ExecutionContext } from 'ava';
import { writeArrays } from '../../../lib/checkpoint/arrays-file';
import { openGraph, takeKnownBranches } from '../../../lib/models/graphs/branches';
import { OnnxFile } from '../../../lib/models/graphs/onnx/file';
import {
  AttributeProtoSchema,
  GraphProtoSchema,
  ValueInfoProtoSchema,
} from '../../../lib/models/graphs/onnx/onnx_pb';
import { MemorySource } from '../../../lib/models/graphs/onnx/source';
import { BOOL, INT64 } from '../../../lib/models/graphs/onnx/tensor';
import { relate } from '../../../lib/models/graphs/relate';
import { countsOf } from '../../../lib/models/graphs/run/multiply-adds';
import { Runtime } from '../../../lib/models/graphs/run/runtime';
import { Samples } from '../../../lib/models/graphs/run/samples';
import { tensorFloats } from '../../../lib/models/graphs/run/weights';
import { sitesOf } from '../../../lib/models/graphs/sites';
import { model, node, sizes, tensor, value } from './models';
import { io, keep, opened as sited } from './opened';
import { folderOf, gapOf } from './pruned';

type Branch = MessageInitShape<typeof GraphProtoSchema>;

/** A choice between two graphs that read what they like of the graph around them. */
function choice(text: string, yes: Branch, no: Branch) {
  const made = node(text);
  const branches = { then_branch: yes, else_branch: no };
  made.attribute = Object.entries(branches).map(([name, branch]) =>
    create(AttributeProtoSchema, {
      ...{ name, type: 5, g: create(GraphProtoSchema, { name, ...branch }) },
    }),
  );
  return made;
}

const flag = (name: string, holds: boolean) =>
  Object.assign(tensor(name, []), { dataType: BOOL, rawData: Uint8Array.of(Number(holds)) });

/** Halves and doubles; both branches have constants and values of the names that the other has. */
const scaled = (factor: number, inner = node('Mul h scale -> v')): Branch => ({
  initializer: [scalar('scale', factor)],
  node: [inner],
  output: [value('v', ['b', 6])],
});

function scalar(name: string, number: number) {
  const made = tensor(name, []);
  new Float32Array(made.rawData.buffer)[0] = number;
  return made;
}

function opened(t: ExecutionContext, nodes: ReturnType<typeof node>[], holds = true) {
  const folder = mkdtempSync(join(tmpdir(), 'struprune-branches-'));
  const path = join(folder, 'model.onnx');
  const graph = {
    input: [value('x', ['b', 4])],
    output: [value('y', ['b', 2])],
    initializer: [
      ...[tensor('a', [4, 6]), tensor('c', [6, 2]), flag('is', holds)],
      ...[sizes('two', [2]), { ...sizes('one', [1]), dims: [] }],
    ],
    node: [node('MatMul x a -> h'), ...nodes, node('MatMul k c -> y')],
  };
  writeFileSync(path, model(graph));
  const file = OnnxFile.open(path);
  t.teardown(() => {
    file.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return { file, folder, path };
}

const types = ({ model: { graph } }: OnnxFile) => graph!.node.map(({ opType }) => opType);

async function answers({ file, folder, path }: ReturnType<typeof opened>): Promise<number[][]> {
  const written = join(folder, 'written.onnx');
  await file.write(written);
  const runtime = new Runtime(1, folder);
  const x = runtime.tensor(
    'float32',
    Float32Array.from({ length: 12 }, (_, i) => Math.sin(i)),
    [3, 4],
  );
  const found: number[][] = [];
  for (const each of [path, written]) {
    await using session = await runtime.open(each);
    found.push(Array.from((await session.run({ x })).y!.data as Float32Array));
  }
  return found;
}

for (const holds of [true, false]) {
  test(`a constant ${holds}, twice over: names of both branches stay apart`, async (t) => {
    const second = choice('If is -> k', scaled(3, node('Mul g scale -> v')), scaled(5));
    const found = opened(t, [choice('If is -> g', scaled(2), scaled(0.5)), second], holds);
    t.deepEqual(sitesOf(relate(found.file)), []);
    takeKnownBranches(found.file);
    t.false(types(found.file).includes('If'));
    t.deepEqual(
      sitesOf(relate(found.file)).map(({ name, units }) => [name, units]),
      [['a', 6]],
    );
    const [before, after] = await answers(found);
    t.deepEqual(after, before);
    t.true(before!.some((each) => each !== 0));
  });
}

test('a condition that is computed of shapes, and one within the branch that it leads to', async (t) => {
  const inner = choice('If is -> v', scaled(4), scaled(7));
  const outer: Branch = {
    node: [node('Relu h -> h2'), inner, node('Add v h2 -> w')],
    output: [value('w', ['b', 6])],
  };
  const found = opened(t, [
    node('Shape h -> s'),
    ...[node('Gather s one -> width'), node('Greater width two -> wide')],
    ...[node('Not wide -> narrow'), choice('If narrow -> k', scaled(9), outer)],
  ]);
  takeKnownBranches(found.file);
  t.false(types(found.file).includes('If'));
  t.is(sitesOf(relate(found.file)).length, 1);
  const [before, after] = await answers(found);
  t.deepEqual(after, before);
});

test('what depends on what the model is given stays as it is', async (t) => {
  const found = opened(t, [
    ...[node('Shape x -> s'), node('Gather s zero -> count'), node('Greater count two -> many')],
    choice('If many -> k', scaled(2), scaled(3)),
  ]);
  found.file.model.graph!.initializer.push(Object.assign(sizes('zero', [0]), { dims: [] }));
  takeKnownBranches(found.file);
  t.deepEqual(types(found.file), ['MatMul', 'Shape', 'Gather', 'Greater', 'If', 'MatMul']);
  t.deepEqual(sitesOf(relate(found.file)), []);
});

test('what is counted is what the branch has that is taken, and no other', async (t) => {
  const product = (name: string): Branch => ({
    initializer: [tensor(name, [6, 6])],
    node: [node(`MatMul h ${name} -> v`)],
    output: [value('v', ['b', 6])],
  });
  const { folder, path } = opened(t, [choice('If is -> k', product('yes'), product('no'))]);
  const inputs = join(folder, 'inputs.safetensors');
  const pieces = () => [Float32Array.from({ length: 20 }, (_, i) => Math.sin(i))];
  await writeArrays(inputs, [{ name: 'x', dtype: 'F32', shape: [5, 4], pieces }], {}, {});
  using file = openGraph(path);
  const runtime = new Runtime(1, folder);
  using samples = await Samples.open(inputs, file.model.graph!, runtime);
  const weights = 4 * 6 + 6 * 6 + 6 * 2;
  const counts = countsOf(file, samples);
  t.deepEqual([counts.weights, counts.multiplyAdds], [weights, weights]);
});

/** Without a shape. */
const ofType = (name: string, elemType: number) =>
  create(ValueInfoProtoSchema, {
    name,
    type: { value: { case: 'tensorType', value: { elemType, shape: {} } } },
  });

function waves(name: string, dims: number[]) {
  const made = tensor(name, dims);
  const numbers = new Float32Array(made.rawData.buffer);
  numbers.forEach((number, i) => {
    numbers[i] = Math.sin(number);
  });
  return made;
}

/** Three rounds of w = turn · v + what the body reads of the graph around it, behind layers of 6 and 8 units. */
function looped(...reads: string[]): ReturnType<typeof sited> {
  const body = create(GraphProtoSchema, {
    name: 'body',
    initializer: [waves('v', [6, 6])],
    input: [ofType('round', INT64), ofType('go', BOOL), value('turn', ['b', 6])],
    output: [ofType('on', BOOL), value('next', ['b', 6])],
    node: [
      ...[node('Identity go -> on'), ...reads.map((each) => node(each))],
      ...[node('MatMul turn v -> w'), node(`Add w ${reads.length > 0 ? 'read' : 's'} -> next`)],
    ],
  });
  const loop = node('Loop rounds is s -> z');
  loop.attribute = [create(AttributeProtoSchema, { name: 'body', type: 5, g: body })];
  return sited({
    ...io(['b', 4], ['b', 2]),
    initializer: [
      ...[waves('a', [4, 6]), waves('p', [6, 8]), waves('q', [8, 6]), waves('c', [6, 2])],
      ...[flag('is', true), { ...sizes('rounds', [3]), dims: [] }],
    ],
    node: [
      ...[node('MatMul x a -> f'), node('Relu f -> g'), node('MatMul g p -> r')],
      ...[node('MatMul r q -> s'), loop, node('MatMul z c -> y')],
    ],
  });
}

const named = ({ sites }: ReturnType<typeof sited>) =>
  sites.map(({ name, units }) => [name, units]);

async function answerOf(t: ExecutionContext, file: OnnxFile): Promise<Float32Array> {
  const folder = folderOf(t);
  const path = join(folder, 'written.onnx');
  await file.write(path);
  const runtime = new Runtime(1, folder);
  await using session = await runtime.open(path);
  const x = Float32Array.from({ length: 12 }, (_, i) => Math.cos(i));
  const { y } = await session.run({ x: runtime.tensor('float32', x, [3, 4]) });
  return y!.data as Float32Array;
}

test('a Loop pins what it reads and what its body contains; layers around it lose units', async (t) => {
  const found = looped();
  t.deepEqual(named(found), [
    ['a', 6],
    ['p', 8],
  ]);
  const { file } = keep({ ...found, sites: [found.sites[1]!] }, 0, 3, 5);
  const masked = looped().network.file;
  const map = masked.model.graph!.initializer.find(({ name }) => name === 'p')!;
  const numbers = tensorFloats(masked, map).map((p, i) => ([0, 3, 5].includes(i % 8) ? p : 0));
  masked.replace(map, [6, 8], new MemorySource(new Uint8Array(numbers.buffer)));
  const [cut, wanted] = [await answerOf(t, file), await answerOf(t, masked)];
  t.true(gapOf(cut, wanted) < 1e-6);
  t.true(gapOf(cut, await answerOf(t, looped().network.file)) > 1e-2);
});

test('a Loop pins units of the graph around it that its body reads, and no others', (t) => {
  t.deepEqual(named(looped('MatMul r q -> read')), [['a', 6]]);
});
