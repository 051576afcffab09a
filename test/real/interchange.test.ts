/** Files of our writers in other people's readers: Python's safetensors, transformers and gguf. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';

import type { GgufEntry } from '../../lib/checkpoint/container';
import { GgufWriter } from '../../lib/checkpoint/gguf-writer';
import { SafetensorsWriter } from '../../lib/checkpoint/safetensors-writer';
import type { OutputTensor } from '../../lib/checkpoint/tensor-sequence';

let folder: string;
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'struprune-interchange-'));
});
test.after.always(() => rm(folder, { recursive: true, force: true }));

interface Reading {
  tensors: Record<string, { file?: string; dtype: string; shape: number[]; sha256: string }>;
  metadata: Record<string, unknown>;
}

function readWithPython(kind: 'safetensors' | 'gguf', path: string): Reading {
  const env = { ...process.env, PYTHONPATH: process.env.STRUPRUNE_ORACLES, OMP_NUM_THREADS: '1' };
  const script = join(__dirname, 'interchange.py');
  return JSON.parse(execFileSync('python3', [script, kind, path], { env, encoding: 'utf8' }));
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** Bytes that differ everywhere and are finite numbers in every dtype. */
const pattern = (count: number) =>
  Uint8Array.from({ length: count }, (_, i) => (i * 37 + 11) % 120);

test('safetensors files, one and several, are read by transformers', async (t) => {
  const tensors: OutputTensor[] = [
    { name: 'model.embed_tokens.weight', dtype: 'F32', shape: [6, 4] },
    { name: 'model.norm.weight', dtype: 'F16', shape: [4] },
    { name: 'lm_head.weight', dtype: 'BF16', shape: [3, 4] },
  ];
  const contents = [pattern(96), pattern(8), pattern(24)];
  for (const maxShardBytes of [1000, 100]) {
    const target = join(folder, `shards-${maxShardBytes}`);
    const writer = await SafetensorsWriter.create(target, tensors, { maxShardBytes });
    for (const [index, { name }] of tensors.entries()) await writer.append(name, contents[index]!);
    await writer.close();
    const { tensors: read, metadata } = readWithPython('safetensors', target);
    t.deepEqual(metadata, { format: 'pt' });
    t.deepEqual(
      tensors.map(({ name }) => [read[name]!.dtype, read[name]!.shape, read[name]!.sha256]),
      [
        ['torch.float32', [6, 4], sha256(contents[0]!)],
        ['torch.float16', [4], sha256(contents[1]!)],
        ['torch.bfloat16', [3, 4], sha256(contents[2]!)],
      ],
    );
    const files = new Set(Object.values(read).map(({ file }) => file));
    t.is(files.size, maxShardBytes === 1000 ? 1 : 2);
  }
});

test('a GGUF file is read by gguf-py', async (t) => {
  const metadata: Record<string, GgufEntry> = {
    'general.architecture': { type: 'string', value: 'llama' },
    'llama.block_count': { type: 'uint32', value: 30 },
    'llama.rope.freq_base': { type: 'float32', value: 100000 },
    'a.int64': { type: 'int64', value: -9007199254740993n },
    'a.flag': { type: 'bool', value: true },
    'llama.feed_forward_length': { type: 'array:int32', value: [1536, 1200] },
    'tokenizer.ggml.tokens': { type: 'array:string', value: ['<s>', '', 'Ġü✓'] },
  };
  const tensors: OutputTensor[] = [
    { name: 'token_embd.weight', dtype: 'Q8_0', shape: [3, 64] },
    { name: 'output_norm.weight', dtype: 'F32', shape: [5] },
    { name: 'blk.0.ffn_up.weight', dtype: 'F16', shape: [2, 7] },
    { name: 'blk.0.ffn_down.weight', dtype: 'BF16', shape: [7, 2] },
  ];
  const contents = [pattern(204), pattern(20), pattern(28), pattern(28)];
  const path = join(folder, 'model.gguf');
  const writer = await GgufWriter.create(path, tensors, metadata);
  for (const [index, { name }] of tensors.entries()) await writer.append(name, contents[index]!);
  await writer.close();

  const read = readWithPython('gguf', path);
  t.deepEqual(
    Object.entries(read.tensors).map(([name, { dtype, shape, sha256 }]) => [
      name,
      dtype,
      shape,
      sha256,
    ]),
    tensors.map(({ name, dtype, shape }, index) => [
      name,
      dtype,
      shape.toReversed(),
      sha256(contents[index]!),
    ]),
  );
  // JSON.parse rounds the 64-bit number as Number does.
  const plain = (types: string[], value: unknown) => ({ types, value });
  t.deepEqual(read.metadata, {
    'general.architecture': plain(['STRING'], 'llama'),
    'llama.block_count': plain(['UINT32'], 30),
    'llama.rope.freq_base': plain(['FLOAT32'], 100000),
    'a.int64': plain(['INT64'], Number(-9007199254740993n)),
    'a.flag': plain(['BOOL'], true),
    'llama.feed_forward_length': plain(['ARRAY', 'INT32'], [1536, 1200]),
    'tokenizer.ggml.tokens': plain(['ARRAY', 'STRING'], ['<s>', '', 'Ġü✓']),
  });
});
