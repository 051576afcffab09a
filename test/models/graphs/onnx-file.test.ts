import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import test from 'ava';

import { StruPruneError } from '../../../lib/errors';
import { OnnxFile } from '../../../lib/models/graphs/onnx/file';
import {
  StringStringEntryProtoSchema,
  TensorProtoSchema,
} from '../../../lib/models/graphs/onnx/onnx_pb';
import { MemorySource } from '../../../lib/models/graphs/onnx/source';
import { relate } from '../../../lib/models/graphs/relate';
import { sitesOf } from '../../../lib/models/graphs/sites';
import { model, node, tensor, value } from './models';

const NETWORK = join(__dirname, '../../fixtures/graphs/network.onnx');
/** All of them: STRUPRUNE_MUTATIONS=100000 npm test -- test/models/graphs/onnx-file.test.ts */
const MUTATIONS = Number(process.env.STRUPRUNE_MUTATIONS ?? 1000);

let folder: string;
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'struprune-onnx-'));
});
test.after.always(() => rm(folder, { recursive: true, force: true }));

async function written(bytes: Uint8Array): Promise<string> {
  const path = join(folder, `${randomBytes(6).toString('hex')}.onnx`);
  await writeFile(path, bytes);
  return path;
}

async function copied(path: string): Promise<string> {
  const file = OnnxFile.open(path);
  const copy = join(folder, `${randomBytes(6).toString('hex')}.onnx`);
  await file.write(copy);
  file.close();
  return copy;
}

/** Two layers, of which the first has 64 KB of weights. */
const LAYERS = {
  node: [node('MatMul x first -> h'), node('MatMul h second -> y')],
  initializer: [tensor('first', [64, 256]), tensor('second', [256, 3])],
  input: [value('x', ['batch', 64])],
  output: [value('y', ['batch', 3])],
};

test('a file is written as it was read, with the fields that are not known here', async (t) => {
  // Field 14, metadata_props: a key and a value; field 4000, which ONNX has not got.
  const metadata = [0x72, 8, 0x0a, 1, 0x6b, 0x12, 3, 0x61, 0x62, 0x63];
  const unknown = [0x82, 0xfa, 0x01, 2, 7, 7];
  const path = await written(
    Buffer.concat([model(LAYERS), Buffer.from([...metadata, ...unknown])]),
  );
  const copy = readFileSync(await copied(path));
  t.is(copy.length, readFileSync(path).length);
  t.true(copy.includes(Buffer.from(metadata)));
  t.true(copy.includes(Buffer.from(unknown)));
  // Written by the same library, the order is the same from the second time on.
  const again = await copied(await copied(path));
  t.deepEqual(readFileSync(again), copy);
});

test('weights stay in the file until they are asked for', async (t) => {
  const path = await written(model(LAYERS));
  const file = OnnxFile.open(path);
  const [first, second] = file.model.graph!.initializer;
  t.is(first!.rawData.length, 0);
  t.is(second!.rawData.length, 256 * 3 * 4);
  const part = file.data(first!).read(40, 8);
  t.deepEqual([...new Float32Array(part.buffer)], [10, 11]);
  file.close();
});

test('data in typed fields are those of raw_data', async (t) => {
  const halves = create(TensorProtoSchema, {
    name: 'h',
    dims: [2n],
    dataType: 10,
    int32Data: [15360, 49152],
  });
  const wide = Array.from({ length: 3000 }, (_, i) => BigInt(i * i - 5));
  const long = create(TensorProtoSchema, {
    name: 'l',
    dims: [3000n],
    dataType: 7,
    int64Data: wide,
  });
  const path = await written(
    model({ ...LAYERS, initializer: [...LAYERS.initializer, halves, long] }),
  );
  const file = OnnxFile.open(path);
  const [, , short, packed] = file.model.graph!.initializer;
  t.deepEqual([...file.data(short!).read(0, 4)], [0, 0x3c, 0, 0xc0]);
  t.is(packed!.int64Data.length, 0, 'a long field is not read with the model');
  const bytes = file.data(packed!).read(0, 24000);
  t.deepEqual([...new BigInt64Array(bytes.buffer)], wide);
  file.close();
});

test('external data are read, and written into one file beside the model', async (t) => {
  const external = (offset: number, length: number) => ({
    rawData: new Uint8Array(),
    dataLocation: 1,
    externalData: Object.entries({ location: 'w.bin', offset, length }).map(([key, set]) =>
      create(StringStringEntryProtoSchema, { key, value: String(set) }),
    ),
  });
  const [first, second] = LAYERS.initializer.map((each, i) => ({
    ...each,
    ...external(i * 65536, each.rawData.length),
  }));
  const data = Buffer.concat(LAYERS.initializer.map(({ rawData }) => rawData));
  writeFileSync(join(folder, 'w.bin'), data);
  const path = await written(model({ ...LAYERS, initializer: [first!, second!] }));

  const file = OnnxFile.open(path);
  const [, narrow] = file.model.graph!.initializer;
  file.replace(narrow!, [256, 2], new MemorySource(new Uint8Array(2048).fill(9)));
  const copy = join(folder, 'external.onnx');
  await file.write(copy);
  file.close();
  t.true((await stat(copy)).size < 1000);
  const again = OnnxFile.open(copy);
  const [wide, replaced] = again.model.graph!.initializer;
  t.deepEqual(Buffer.from(again.data(wide!).read(0, 65536)), data.subarray(0, 65536));
  t.deepEqual([...again.data(replaced!).read(2040, 8)], new Array(8).fill(9));
  again.close();

  for (const location of ['gone.bin', '../w.bin', '/etc/passwd', '']) {
    const entry = create(StringStringEntryProtoSchema, { key: 'location', value: location });
    const hostile = { ...first!, externalData: [entry] };
    const bad = await written(model({ ...LAYERS, initializer: [hostile, second!] }));
    const error = t.throws(() => OnnxFile.open(bad), { instanceOf: StruPruneError });
    t.true(['ERR_NOT_FOUND', 'ERR_CHECKPOINT'].includes(error.code), location);
  }
});

const refused: [what: string, bytes: Uint8Array, message: RegExp][] = [
  ['text', Buffer.from('not an ONNX file, only some text'), /wire type|field|number/],
  ['nothing', new Uint8Array(), /no graph/],
  ['half a file', readFileSync(NETWORK).subarray(0, 5000), /longer than its message/],
  [
    'a payload number',
    model({ ...LAYERS, initializer: [{ ...tensor('first', [2]), payload: 3 }] }),
    /field 100000/,
  ],
  [
    'data of another length',
    model({
      ...LAYERS,
      initializer: [{ ...tensor('first', [2]), dims: [3n] }, LAYERS.initializer[1]!],
    }),
    /8 bytes where its shape needs 12/,
  ],
  [
    'a name that nothing makes',
    model({ ...LAYERS, node: [node('Relu nothing -> y')] }),
    /nothing is read before/,
  ],
  [
    'a name that is made twice',
    model({ ...LAYERS, node: [node('Relu x -> y'), node('Relu x -> y')] }),
    /y is made twice/,
  ],
  [
    'many empty nodes',
    model({}).length > 0 ? manyNodes() : new Uint8Array(),
    /more than 2097152 fields/,
  ],
];

/** A graph (field 7) of 2.2 million nodes (field 1) of no bytes. */
function manyNodes(): Uint8Array {
  const nodes = Buffer.alloc(4_400_000).map((_, i) => (i % 2 === 0 ? 0x0a : 0));
  return Buffer.concat([Buffer.from([0x3a, 0x80, 0xc7, 0x8c, 0x02]), nodes]);
}

for (const [what, bytes, message] of refused) {
  test(`${what} is refused`, async (t) => {
    const path = await written(bytes);
    const error = t.throws(() => relate(OnnxFile.open(path)), { instanceOf: StruPruneError });
    t.is(error.code, 'ERR_CHECKPOINT');
    t.regex(error.message, message);
    t.true(error.message.includes(path));
    t.truthy(error.mend);
  });
}

/** Numbers in [0, 1), the same in each run. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
}

/** Some bytes other, gone, doubled or set to what means most. */
function mutated(bytes: Buffer, random: () => number): Buffer {
  let copy = Buffer.from(bytes);
  for (let times = 1 + Math.floor(random() * 4); times > 0; times--) {
    const at = Math.floor(random() * copy.length);
    const length = Math.floor(random() * 16);
    const kind = Math.floor(random() * 5);
    if (kind === 0) copy[at] = Math.floor(random() * 256);
    else if (kind === 1) copy.subarray(at, at + length).fill(0xff);
    else if (kind === 2) copy = Buffer.concat([copy.subarray(0, at), copy.subarray(at + length)]);
    else if (kind === 3) copy = Buffer.concat([copy.subarray(0, at + length), copy.subarray(at)]);
    else copy[at] = copy[at]! ^ (1 << Math.floor(random() * 8));
  }
  return copy;
}

test(`${MUTATIONS} mutated files are read or refused`, (t) => {
  t.timeout(3_600_000);
  const random = generator(7);
  const sound = readFileSync(NETWORK);
  const path = join(folder, 'mutated.onnx');
  const [before, start] = [process.memoryUsage.rss(), process.hrtime.bigint()];
  const outcomes = { read: 0, refused: 0 };
  for (let i = 0; i < MUTATIONS; i++) {
    writeFileSync(path, mutated(sound, random));
    let file: OnnxFile | undefined;
    try {
      file = OnnxFile.open(path);
      sitesOf(relate(file));
      outcomes.read++;
    } catch (error) {
      if (!(error instanceof StruPruneError)) {
        t.fail(`file ${i}: ${(error as Error).stack}`);
        return;
      }
      outcomes.refused++;
    } finally {
      file?.close();
    }
  }
  t.log(`${outcomes.read} read, ${outcomes.refused} refused`);
  t.true(outcomes.read > MUTATIONS / 10 && outcomes.refused > MUTATIONS / 10);
  t.true(process.memoryUsage.rss() - before < 2 ** 29);
  t.true(Number(process.hrtime.bigint() - start) / MUTATIONS < 1e9);
});

test('a pipe is refused without waiting for it', (t) => {
  const pipe = join(folder, 'pipe.onnx');
  execFileSync('mkfifo', [pipe]);
  t.throws(() => OnnxFile.open(pipe), { code: 'ERR_ARGUMENT', message: /is not a file/ });
});
