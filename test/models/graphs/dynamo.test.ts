/** A graph of PyTorch's newer exporter against torch: scripts/oracles/make-dynamo-fixtures.py. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';

import { parseSafetensors } from '../../../lib/checkpoint/container';
import { OnnxFile } from '../../../lib/models/graphs/onnx/file';
import { relate } from '../../../lib/models/graphs/relate';
import { floatsOf, Runtime } from '../../../lib/models/graphs/run/runtime';
import { sitesOf } from '../../../lib/models/graphs/sites';
import { slice } from '../../../lib/models/graphs/slice';
import { weightsOf } from '../../../lib/models/graphs/weights';

const FIXTURES = join(__dirname, '../../fixtures/dynamo');

async function expected(name: string) {
  const source = join(FIXTURES, 'expected.safetensors');
  const { offset, bytes, shape } = parseSafetensors(source).tensors.find(
    (tensor) => tensor.name === name,
  )!;
  const data = (await readFile(source)).subarray(offset, offset + bytes);
  return { shape, data: new Float32Array(Uint8Array.from(data).buffer) };
}

test('heads and FFN units go with batch and length open, and what is left gives what torch gives', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'struprune-dynamo-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, 'without.onnx');
  {
    using file = OnnxFile.open(join(FIXTURES, 'encoder.onnx'));
    const network = relate(file);
    t.deepEqual(network.unknown, []);
    const { all, exact } = weightsOf(network);
    t.is(exact, all);
    const [heads, units, ...others] = sitesOf(network);
    t.deepEqual([heads!.units, units!.units, others], [3, 20, []]);
    t.deepEqual([heads!.heads, units!.heads], [true, false]);
    const kept = Array.from({ length: 20 }, (_, i) => i).filter((i) => i % 3 !== 1);
    const choice = new Map([
      [heads!, [0, 2]],
      [units!, kept],
    ]);
    slice(network, choice);
    await file.write(path);
  }
  const [x, wanted] = [await expected('x'), await expected('y')];
  const runtime = new Runtime(1, folder);
  await using session = await runtime.open(path);
  const { y } = await session.run({ x: runtime.tensor('float32', x.data, x.shape) });
  t.deepEqual([...y!.dims], wanted.shape);
  const found = floatsOf(y!)!;
  const difference = Math.max(...wanted.data.map((value, i) => Math.abs(value - found[i]!)));
  t.log(`difference ${difference}`);
  t.true(difference < 1e-5);
});
