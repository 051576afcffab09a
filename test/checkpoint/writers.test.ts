/**
 * The written files are read back by the native parsers; other programs' readers are the oracle in
 * test/real/interchange.test.ts.
 */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';

import { type GgufEntry, parseGguf, parseSafetensors } from '../../lib/checkpoint/container';
import { GgufWriter } from '../../lib/checkpoint/gguf-writer';
import { SafetensorsWriter } from '../../lib/checkpoint/safetensors-writer';
import type { OutputTensor } from '../../lib/checkpoint/tensor-sequence';

const folders: string[] = [];
async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'struprune-writers-'));
  folders.push(folder);
  return folder;
}
test.after.always(() => Promise.all(folders.map((f) => rm(f, { recursive: true, force: true }))));

const filled = (bytes: number, value: number) => new Uint8Array(bytes).fill(value);

const tensors: OutputTensor[] = [
  { name: 'a', dtype: 'F32', shape: [2, 3] },
  { name: 'none', dtype: 'F16', shape: [0, 4] },
  { name: 'b', dtype: 'BF16', shape: [5] },
  { name: 'c', dtype: 'F16', shape: [] },
];

test('safetensors: one file, tensors in several chunks', async (t) => {
  const folder = await newFolder();
  const writer = await SafetensorsWriter.create(folder, tensors);
  await writer.append('a', filled(10, 1));
  await writer.append('a', filled(14, 2));
  await writer.append('b', filled(10, 3));
  await writer.append('c', filled(2, 4));
  t.deepEqual(await writer.close(), ['model.safetensors']);
  t.deepEqual(await readdir(folder), ['model.safetensors']);

  const path = join(folder, 'model.safetensors');
  const header = parseSafetensors(path);
  const bytes = await readFile(path);
  const start = bytes.length - 36;
  t.is(start % 8, 0);
  t.deepEqual(header.metadata, { format: 'pt' });
  t.deepEqual(
    header.tensors.map(({ name, shape, offset }) => [name, shape, offset - start]),
    [
      ['a', [2, 3], 0],
      ['none', [0, 4], 24],
      ['b', [5], 24],
      ['c', [], 34],
    ],
  );
  const data = [filled(10, 1), filled(14, 2), filled(10, 3), filled(2, 4)];
  t.deepEqual(bytes.subarray(start), Buffer.concat(data));
});

test('safetensors: files past the size are numbered and indexed', async (t) => {
  const folder = await newFolder();
  const sizes = [4, 12, 4, 4, 4];
  const many = sizes.map((bytes, index): OutputTensor => {
    return { name: `t${index}`, dtype: 'F32', shape: [bytes / 4] };
  });
  const writer = await SafetensorsWriter.create(folder, many, { maxShardBytes: 8 });
  for (const [index, bytes] of sizes.entries())
    await writer.append(`t${index}`, filled(bytes, index));
  const shard = (number: number) => `model-0000${number}-of-00004.safetensors`;
  const names = [1, 2, 3, 4].map(shard);
  t.deepEqual(await writer.close(), [...names, 'model.safetensors.index.json']);
  t.deepEqual(
    names.map((name) => parseSafetensors(join(folder, name)).tensors.map((tensor) => tensor.name)),
    [['t0'], ['t1'], ['t2', 't3'], ['t4']],
  );
  const third = await readFile(join(folder, shard(3)));
  t.deepEqual([...third.subarray(-8)], [2, 2, 2, 2, 3, 3, 3, 3]);
  t.deepEqual(JSON.parse(await readFile(join(folder, 'model.safetensors.index.json'), 'utf8')), {
    metadata: { total_size: 28 },
    weight_map: { t0: shard(1), t1: shard(2), t2: shard(3), t3: shard(3), t4: shard(4) },
  });
});

test('safetensors: quantised dtypes are refused before anything is written', async (t) => {
  const folder = await newFolder();
  const q8: OutputTensor[] = [{ name: 'a', dtype: 'Q8_0', shape: [32] }];
  await t.throwsAsync(SafetensorsWriter.create(folder, q8), { code: 'ERR_UNSUPPORTED' });
  t.deepEqual(await readdir(folder), []);
});

const metadata: Record<string, GgufEntry> = {
  'general.architecture': { type: 'string', value: 'llama' },
  u8: { type: 'uint8', value: 255 },
  i8: { type: 'int8', value: -128 },
  u16: { type: 'uint16', value: 65535 },
  i16: { type: 'int16', value: -32768 },
  u32: { type: 'uint32', value: 4294967295 },
  i32: { type: 'int32', value: -2147483648 },
  u64: { type: 'uint64', value: 18446744073709551615n },
  i64: { type: 'int64', value: -9223372036854775808n },
  small64: { type: 'int64', value: -5 },
  f32: { type: 'float32', value: Math.fround(0.1) },
  f64: { type: 'float64', value: 0.1 },
  yes: { type: 'bool', value: true },
  text: { type: 'string', value: 'é\n\u0000✓' },
  tokens: { type: 'array:string', value: ['<s>', '', 'ü'] },
  scores: { type: 'array:float32', value: [-1.5, 0] },
  flags: { type: 'array:bool', value: [true, false] },
  none: { type: 'array:int32', value: [] },
};

test('gguf: metadata of every type and tensors come back', async (t) => {
  const path = join(await newFolder(), 'model.gguf');
  const quantised: OutputTensor[] = [
    { name: 'a', dtype: 'F32', shape: [2, 3] },
    { name: 'none', dtype: 'F16', shape: [0, 4] },
    { name: 'q', dtype: 'Q8_0', shape: [2, 32] },
    { name: 'b', dtype: 'BF16', shape: [5] },
  ];
  const writer = await GgufWriter.create(path, quantised, metadata);
  await writer.append('a', filled(24, 1));
  await writer.append('q', filled(34, 2));
  await writer.append('q', filled(34, 3));
  await writer.append('b', filled(10, 4));
  await writer.close();

  const header = parseGguf(path);
  t.is(header.version, 3);
  t.is(header.alignment, 32);
  t.deepEqual(header.metadata, metadata);
  const bytes = await readFile(path);
  const start = bytes.length - (32 + 96 + 32);
  t.deepEqual(
    header.tensors.map(({ name, dtype, shape, offset, bytes: size }) => [
      name,
      dtype,
      shape,
      offset - start,
      size,
    ]),
    [
      ['a', 'F32', [2, 3], 0, 24],
      ['none', 'F16', [0, 4], 32, 0],
      ['q', 'Q8_0', [2, 32], 32, 68],
      ['b', 'BF16', [5], 128, 10],
    ],
  );
  const pad = (count: number) => filled(count, 0);
  const data = [
    filled(24, 1),
    pad(8),
    filled(34, 2),
    filled(34, 3),
    pad(28),
    filled(10, 4),
    pad(22),
  ];
  t.deepEqual(bytes.subarray(start), Buffer.concat(data));
});

test('gguf: the alignment of the metadata is kept', async (t) => {
  const path = join(await newFolder(), 'model.gguf');
  const alignment: GgufEntry = { type: 'uint32', value: 128 };
  const tensor: OutputTensor = { name: 'a', dtype: 'F32', shape: [1] };
  const two = [tensor, { ...tensor, name: 'b' }];
  const writer = await GgufWriter.create(path, two, { 'general.alignment': alignment });
  await writer.append('a', filled(4, 1));
  await writer.append('b', filled(4, 1));
  await writer.close();
  const [a, b] = parseGguf(path).tensors;
  t.is(a!.offset % 128, 0);
  t.is(b!.offset, a!.offset + 128);
});

for (const [what, entry] of [
  ['too large', { type: 'uint8', value: 256 }],
  ['fractional', { type: 'int32', value: 0.5 }],
  ['a string for a number', { type: 'uint32', value: '1' }],
  ['a number for a string', { type: 'string', value: 1 }],
  ['a scalar for an array', { type: 'array:int32', value: 1 }],
  ['of no known type', { type: 'int128', value: 1 }],
] as [string, GgufEntry][]) {
  test(`gguf: a value that is ${what} is refused before anything is written`, async (t) => {
    const folder = await newFolder();
    const created = GgufWriter.create(join(folder, 'x.gguf'), [], { key: entry });
    await t.throwsAsync(created, { code: 'ERR_INTERNAL' });
    t.deepEqual(await readdir(folder), []);
  });
}

test('gguf: what ggml cannot hold is refused', async (t) => {
  const path = join(await newFolder(), 'x.gguf');
  const long: OutputTensor = { name: 'n'.repeat(64), dtype: 'F32', shape: [1] };
  await t.throwsAsync(GgufWriter.create(path, [long], {}), { code: 'ERR_UNSUPPORTED' });
  const ragged: OutputTensor = { name: 'a', dtype: 'Q8_0', shape: [2, 33] };
  await t.throwsAsync(GgufWriter.create(path, [ragged], {}), { code: 'ERR_ARGUMENT' });
});

for (const [what, break_] of [
  ['out of turn', (writer: Writer) => writer.append('b', filled(10, 0))],
  ['too long', (writer: Writer) => writer.append('a', filled(25, 0))],
  ['incomplete', (writer: Writer) => writer.close()],
] as const) {
  test(`a tensor that is ${what} fails the write, and nothing stays`, async (t) => {
    const folder = await newFolder();
    const writers: Writer[] = [
      await SafetensorsWriter.create(folder, tensors),
      await GgufWriter.create(join(folder, 'x.gguf'), tensors, {}),
    ];
    for (const writer of writers) {
      await writer.append('a', filled(3, 0));
      await t.throwsAsync(async () => break_(writer), { code: 'ERR_INTERNAL' });
    }
    t.deepEqual(await readdir(folder), []);
  });
}

interface Writer {
  append(name: string, bytes: Uint8Array): Promise<void>;
  close(): Promise<unknown>;
}
