import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import test, { type ExecutionContext } from 'ava';

import { parseGguf } from '../../lib/checkpoint/container';
import { readSplit } from '../../lib/checkpoint/gguf-split';
import { GgufWriter } from '../../lib/checkpoint/gguf-writer';
import { openCheckpoint } from '../../lib/checkpoint/open';
import type { OutputTensor } from '../../lib/checkpoint/tensor-sequence';
import type { Dtype, TensorRef } from '../../lib/model/architecture';
import { inOrder } from '../../lib/model/delta-order';
import { familyNamed } from '../../lib/model/families';
import { partRefs, WHOLE } from '../../lib/model/file-tensors';
import { totalParameters } from '../../lib/model/groups';
import type { BlockRole } from '../../lib/model/sublayers';
import { fixtureConfig, MODELS } from './fixture';

type Entry = { dtype: string; shape: number[]; data: Buffer };

function copyOf(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'open-'));
  cpSync(join(MODELS, name), folder, { recursive: true });
  return folder;
}

function readFixture(name: string): Map<string, Entry> {
  const file = readFileSync(join(MODELS, name, 'model.safetensors'));
  const length = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.subarray(8, 8 + length).toString());
  const entries = Object.entries(header).filter(([key]) => key !== '__metadata__');
  return new Map(
    entries.map(([key, value]) => {
      const { dtype, shape, data_offsets } = value as Omit<Entry, 'data'> & {
        data_offsets: [number, number];
      };
      const [start, end] = data_offsets;
      return [key, { dtype, shape, data: file.subarray(8 + length + start, 8 + length + end) }];
    }),
  );
}

/** What a tensor's reference points at; of a transposed one a piece a stored row. */
function bytesOf(file: Buffer, ref: TensorRef): Buffer[] {
  const { offset, bytes, shape, storedColumns, step, run = 1 } = ref;
  if (step) {
    const turns = shape[0]! / run;
    const ofTurn = bytes / turns;
    const ofRow = bytes / shape[0]!;
    return Array.from({ length: turns }, (_, turn) => {
      const from = offset + turn * step * ofRow;
      return file.subarray(from, from + ofTurn);
    });
  }
  if (!storedColumns) return [file.subarray(offset, offset + bytes)];
  const [rows, cols] = [shape[0]!, shape[1]!];
  const entry = bytes / (rows * cols);
  return Array.from({ length: cols }, (_, column) => {
    const from = offset + column * storedColumns * entry;
    return file.subarray(from, from + rows * entry);
  });
}

/** Pieces of several tensors, those of a stored row or of a turn together. */
const interleaved = (tensors: Buffer[][]) =>
  tensors[0]!.flatMap((_, row) => tensors.map((pieces) => pieces[row]!));

function write(folder: string, tensors: Map<string, Entry>): void {
  let offset = 0;
  const header = Object.fromEntries(
    [...tensors].map(([name, { dtype, shape, data }]) => {
      const data_offsets = [offset, offset + data.length];
      offset += data.length;
      return [name, { dtype, shape, data_offsets }];
    }),
  );
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const parts = [...tensors.values()].map(({ data }) => data);
  writeFileSync(join(folder, 'model.safetensors'), Buffer.concat([length, text, ...parts]));
}

function setConfig(folder: string, name: string, change: Record<string, unknown>): void {
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...fixtureConfig(name), ...change }));
}

const NAMES = [
  'opt-pre',
  'opt-post',
  'llama2',
  'llama3',
  'llama3-tied',
  'llama-bias',
  'mistral',
  'qwen2',
  'qwen3',
  'gemma3',
  'gemma3-unlike',
  'gemma2',
  'gemma2-unlike',
  'phi3',
  'phi3-plain',
  'gpt2',
  'starcoder2',
  'starcoder2-bare',
  'gpt-neox',
  'gpt-neox-tanh',
  'gpt-neox-serial',
  'olmo2',
  'olmo3',
  'seed-oss',
  'seed-oss-biases',
  'granite4',
  'ernie4.5',
  'ernie4.5-biases',
  'smollm3',
  'granite',
  'ministral',
  'ministral-plain',
  'ministral3',
  'qwen2-sliding',
  'qwen3-yarn',
  'mixtral',
  'qwen2-moe',
  'qwen2-moe-sliding',
  'qwen3-moe',
  'olmoe',
  'qwen3-sliding',
  'qwen3-moe-even',
  'olmoe-alike',
  'granite-moe',
  'lfm2',
  'lfm2-unlike',
  'qwen3.5',
  'qwen3-next',
  'qwen3-next-unlike',
  'qwen3-next-plain',
  'qwen3.5-moe',
  'lfm2-moe',
  'lfm2-moe-unlike',
  'granite-moe-shared',
  'qwen3.5-unlike',
];

for (const name of NAMES) {
  test(`opens ${name}: all of the file's tensors, each once`, async (t) => {
    const source = await openCheckpoint(join(MODELS, name));
    const refs = [source.model, ...source.blocks].flatMap((bound) => Object.values(bound));
    const names = [...new Set(refs.map((ref) => ref.name))].sort();
    t.is(source.format, 'hf');
    const turned = refs.filter((ref) => ref.ropeHeads !== undefined);
    const { interleavedRope } = familyNamed(source.architecture.family).hf;
    t.is(turned.length > 0, interleavedRope === true);
    t.true(turned.every((ref) => /\.[qk]_proj\./.test(ref.name)));
    const sharded = join(MODELS, name, 'model.safetensors.index.json');
    if (existsSync(sharded)) {
      const { weight_map, metadata } = JSON.parse(readFileSync(sharded, 'utf8'));
      t.deepEqual(names, Object.keys(weight_map).sort());
      t.is(source.parameters, metadata.total_parameters);
      for (const ref of refs) t.true(source.files[ref.file]!.endsWith(weight_map[ref.name]));
      return;
    }
    const stored = readFixture(name);
    t.deepEqual(names, [...stored.keys()].sort());
    const count = [...stored.values()].reduce(
      (sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1),
      0,
    );
    t.is(source.parameters, count);
    const file = readFileSync(source.files[0]!);
    for (const name of names) {
      const { data } = stored.get(name)!;
      const parts = refs.filter((ref) => ref.name === name);
      const read = parts.map((ref) => bytesOf(file, ref));
      const joined = parts[0]!.storedColumns || parts[0]!.step;
      const whole = joined ? interleaved(read) : read.flat();
      t.true(Buffer.concat(whole).equals(data), name);
    }
  });
}

for (const [name, interleaved] of [
  ['llama3-tied', true],
  ['qwen2', false],
  ['gemma3', false],
  ['gemma2', false],
  ['phi3', false],
  ['gpt2', false],
  ['starcoder2', false],
  ['gpt-neox-tanh', false],
  ['olmo2', false],
  ['olmo3', false],
  ['seed-oss', false],
  ['ernie4.5', true],
  ['smollm3', true],
  ['granite', true],
  ['qwen3-yarn', false],
  ['gpt-oss-mxfp4', false],
  ['lfm2', false],
  ['qwen3.5', false],
  ['qwen3.5-moe', false],
  ['qwen3-next-plain', false],
  ['ministral3', true],
] as const) {
  test(`the GGUF of ${name} describes the same model as its folder`, async (t) => {
    const folder = await openCheckpoint(join(MODELS, name));
    const [first] = readdirSync(join(MODELS, name)).filter((file) => file.endsWith('.gguf'));
    const gguf = await openCheckpoint(join(MODELS, name, first!));
    t.is(gguf.format, 'gguf');
    // Value heads of a delta rule may lie in another order.
    const { tilesValueHeads = false } = familyNamed(folder.architecture.family).gguf!;
    t.deepEqual(gguf.architecture, inOrder(folder.architecture, tilesValueHeads));
    t.is(gguf.parameters, folder.parameters);
    const at = folder.architecture.blocks.findLastIndex(({ heads }) => heads > 0);
    const block = gguf.blocks[at]!;
    t.is(block['attention.q']!.ropeHeads, interleaved ? 4 : undefined);
    t.is(block['attention.k']!.ropeHeads, interleaved ? 2 : undefined);
    t.is(block['attention.q']!.storedColumns, undefined);
    t.is(block['attention.qBias']?.ropeHeads, undefined);
    t.is(block['attention.v']!.ropeHeads, undefined);
    const out = block['ffn.out'] ?? block['experts.1.out']!;
    t.deepEqual(out.shape, [64, folder.architecture.blocks[at]!.ffn]);
    t.is(block['ffn.norm']?.plus, undefined);
    t.is(
      (gguf.config['general.architecture'] as { value: string }).value,
      familyNamed(folder.architecture.family).gguf!.architectures[0]!,
    );
  });
}

/** A fixture's GGUF with copies of its last block behind it, and other metadata. */
async function longer(t: ExecutionContext, name: string, more: Record<string, number>) {
  const path = join(MODELS, name, 'model.gguf');
  const [{ metadata, tensors }, bytes] = [parseGguf(path), readFileSync(path)];
  const last = (await openCheckpoint(path)).architecture.blocks.length - 1;
  const own = tensors.map((tensor) => ({ ...tensor, dtype: tensor.dtype as Dtype }));
  const copies = own
    .filter((tensor) => tensor.name.startsWith(`blk.${last}.`))
    .map((tensor) => ({ ...tensor, name: tensor.name.replace(String(last), String(last + 1)) }));
  const all = [...own, ...copies];
  const prefix = metadata['general.architecture']!.value;
  const stated = Object.entries(more).map(([key, value]) => [
    `${prefix}.${key}`,
    { type: 'uint32', value } as const,
  ]);
  const folder = mkdtempSync(join(tmpdir(), 'struprune-longer-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const output = join(folder, 'model.gguf');
  const writer = await GgufWriter.create(
    output,
    all,
    { ...metadata, ...Object.fromEntries(stated) },
    {},
  );
  for (const { name: tensor, offset, bytes: length } of all) {
    await writer.append(tensor, bytes.subarray(offset, offset + length));
  }
  await writer.close();
  return { output, copies: copies.map((tensor) => tensor.name) };
}

test('blocks of a GGUF that guess further ahead are not loaded, which is said', async (t) => {
  const ahead = { block_count: 5, nextn_predict_layers: 1 };
  const { output, copies } = await longer(t, 'qwen3.5', ahead);
  const [source, whole] = [output, join(MODELS, 'qwen3.5', 'model.gguf')].map(openCheckpoint);
  t.deepEqual((await source!).architecture, (await whole!).architecture);
  t.is((await source!).parameters, (await whole!).parameters);
  t.deepEqual((await source!).unloaded, copies);
});

test('blocks of a GGUF that its metadata does not count are refused', async (t) => {
  const rows: [string, Record<string, number>][] = [
    ['qwen3.5', {}],
    ['qwen2', {}],
    // Another family does not read it.
    ['qwen2', { nextn_predict_layers: 1 }],
  ];
  for (const [name, more] of rows) {
    const { output } = await longer(t, name, more);
    await t.throwsAsync(openCheckpoint(output), {
      code: 'ERR_UNSUPPORTED',
      message: /has no place for tensor blk\.\d\./,
    });
  }
});

test('FP8: every matrix of a block has its scales, which are no parameters', async (t) => {
  const { blocks, parameters, architecture, files } = await openCheckpoint(
    join(MODELS, 'llama-fp8'),
  );
  t.is(parameters, totalParameters(architecture));
  const stored = readFixture('llama-fp8');
  const file = readFileSync(files[0]!);
  for (const [role, { name, dtype, scales }] of Object.entries(blocks[1]!)) {
    const beside = stored.get(`${name}_scale_inv`);
    t.is(dtype, beside ? 'F8_E4M3' : 'BF16', role);
    t.is(scales === undefined, beside === undefined, role);
    if (!scales) continue;
    t.like(scales, { dtype: 'F32', blockRows: 32, blockColumns: 32, row: 0 });
    const { offset, bytes } = scales;
    t.true(file.subarray(offset, offset + bytes).equals(beside!.data), role);
  }
  t.is(blocks[0]!['ffn.out']!.scales!.bytes, 4 * 2 * 5);
});

test('FP8 joined in one tensor: each part begins at its row of the scales', (t) => {
  const scales = { file: 0, offset: 900, bytes: 24, dtype: 'F32' as const };
  const whole = {
    ...{ name: 'qkv', file: 0, offset: 100, bytes: 192 * 160, dtype: 'F8_E4M3' as const },
    ...{ shape: [192, 160], scales: { ...scales, blockRows: 128, blockColumns: 128, row: 0 } },
  };
  const parts = [
    [64, 160],
    [32, 160],
    [96, 160],
  ].map((shape) => ({ shape }));
  t.deepEqual(
    partRefs(whole, { parts, ...WHOLE }).map((ref) => [ref.offset, ref.scales?.row]),
    [
      [100, 0],
      [100 + 64 * 160, 64],
      [100 + 96 * 160, 96],
    ],
  );
});

test('gpt-oss: experts lie in one tensor, transposed, rows of gate and up in turn', async (t) => {
  const { blocks, parameters, architecture } = await openCheckpoint(join(MODELS, 'gpt-oss'));
  t.is(parameters, totalParameters(architecture));
  t.deepEqual(
    architecture.blocks.map(({ global }) => global),
    [undefined, true, undefined],
  );
  const stored = readFixture('gpt-oss');
  const mlp = 'model.layers.2.mlp.experts';
  // Of expert 3: [in, gate and up], [channels, out] and their biases, halves of 2 bytes.
  const places: [string, string, number, object][] = [
    ['gate', 'gate_up_proj', 3 * 64 * 96, { storedColumns: 96, step: 2, shape: [48, 64] }],
    ['up', 'gate_up_proj', 3 * 64 * 96 + 1, { storedColumns: 96, step: 2, shape: [48, 64] }],
    ['gateBias', 'gate_up_proj_bias', 3 * 96, { step: 2, shape: [48] }],
    ['upBias', 'gate_up_proj_bias', 3 * 96 + 1, { step: 2, shape: [48] }],
    ['out', 'down_proj', 3 * 48 * 64, { storedColumns: 64, step: undefined, shape: [64, 48] }],
    ['outBias', 'down_proj_bias', 3 * 64, { step: undefined, shape: [64] }],
  ];
  const first = (name: string) =>
    Math.min(
      ...Object.values(blocks[2]!).flatMap((ref) => (ref.name === name ? [ref.offset] : [])),
    );
  for (const [part, name, entries, more] of places) {
    const ref = blocks[2]![`experts.3.${part}` as BlockRole]!;
    t.is(ref.name, `${mlp}.${name}`);
    t.is(ref.offset - first(ref.name), 2 * entries, part);
    t.like(ref, more, part);
    t.true(stored.has(ref.name));
  }
});

test("Qwen3-Next: a delta rule's maps lie key head by key head", async (t) => {
  const { blocks, parameters, architecture } = await openCheckpoint(join(MODELS, 'qwen3-next'));
  t.is(parameters, totalParameters(architecture));
  const refs = blocks[2]!;
  const first = (name: string) =>
    Math.min(...Object.values(refs).flatMap((ref) => (ref.name === name ? [ref.offset] : [])));
  // Of each of two key heads 16 rows of queries, as many of keys, and 3 heads of 8 of values and of gates; halves of 2 bytes.
  const places: [string, string, number, object][] = [
    ['q', 'in_proj_qkvz', 0, { step: 80, run: 16, shape: [32, 64] }],
    ['k', 'in_proj_qkvz', 16, { step: 80, run: 16, shape: [32, 64] }],
    ['v', 'in_proj_qkvz', 32, { step: 80, run: 24, shape: [48, 64] }],
    ['outGate', 'in_proj_qkvz', 56, { step: 80, run: 24, shape: [48, 64] }],
    ['beta', 'in_proj_ba', 0, { step: 6, run: 3, shape: [6, 64] }],
    ['alpha', 'in_proj_ba', 3, { step: 6, run: 3, shape: [6, 64] }],
  ];
  for (const [part, name, row, more] of places) {
    const ref = refs[`delta.${part}` as BlockRole]!;
    t.is(ref.name, `model.layers.2.linear_attn.${name}.weight`);
    t.is(ref.offset - first(ref.name), 2 * 64 * row, part);
    t.like(ref, more, part);
  }
});

test('MXFP4: experts have values and powers of two in tensors of their own', async (t) => {
  const { blocks, parameters, architecture, files } = await openCheckpoint(
    join(MODELS, 'gpt-oss-mxfp4'),
  );
  t.is(parameters, totalParameters(architecture));
  const stored = readFixture('gpt-oss-mxfp4');
  const file = readFileSync(files[0]!);
  const { dtype, name, offset, bytes, step, scales } = blocks[1]!['experts.2.up']!;
  t.deepEqual([dtype, step, bytes], ['F4_E2M1', 2, 64 * 32]);
  const values = stored.get(name)!;
  t.deepEqual(values.shape, [4, 128, 2, 16]);
  // The second row of expert 2 is up's first.
  const row = (data: Buffer, each: number) => data.subarray((2 * 128 + 1) * each).subarray(0, each);
  t.true(file.subarray(offset, offset + 32).equals(row(values.data, 32)));
  t.like(scales, { dtype: 'F8_E8M0', blockRows: 1, blockColumns: 32, row: 2 * 128 + 1 });
  const powers = stored.get(name.replace('_blocks', '_scales'))!.data;
  const at = scales!.offset + scales!.row * 2;
  t.true(file.subarray(at, at + 2).equals(row(powers, 2)));
});

test('MXFP4 that is not whole, or of another family, is refused by name', async (t) => {
  const name = 'model.layers.1.mlp.experts.down_proj';
  const refused = async (change: (tensors: Map<string, Entry>) => void, expected: object) => {
    const folder = copyOf('gpt-oss-mxfp4');
    t.teardown(() => rmSync(folder, { recursive: true }));
    const tensors = readFixture('gpt-oss-mxfp4');
    change(tensors);
    write(folder, tensors);
    await t.throwsAsync(openCheckpoint(folder), expected);
  };
  await refused((tensors) => tensors.delete(`${name}_scales`), {
    code: 'ERR_CHECKPOINT',
    message: /down_proj_scales is missing/,
  });
  await refused(
    (tensors) =>
      tensors.set(`${name}_scales`, { ...tensors.get(`${name}_scales`)!, shape: [256, 2] }),
    { code: 'ERR_CHECKPOINT', message: /down_proj_scales has shape \[256, 2\], .* \[4, 64, 2\]/ },
  );
  await refused(
    (tensors) => tensors.set(`${name}_blocks`, { ...tensors.get(`${name}_blocks`)!, dtype: 'I8' }),
    { code: 'ERR_UNSUPPORTED', message: /down_proj_blocks is stored as I8, not as bytes/ },
  );
});

test('FP8 whose scales are not there, or of other blocks, is refused by name', async (t) => {
  const scales = 'model.layers.0.mlp.down_proj.weight_scale_inv';
  const refused = async (
    change: (tensors: Map<string, Entry>) => void,
    config: object,
    code: string,
    message: RegExp,
  ) => {
    const folder = copyOf('llama-fp8');
    t.teardown(() => rmSync(folder, { recursive: true }));
    const tensors = readFixture('llama-fp8');
    change(tensors);
    write(folder, tensors);
    setConfig(folder, 'llama-fp8', { ...config });
    await t.throwsAsync(openCheckpoint(folder), { code, message });
  };
  const same = () => {};
  const gone = (tensors: Map<string, Entry>) => tensors.delete(scales);
  await refused(gone, {}, 'ERR_CHECKPOINT', /down_proj\.weight_scale_inv is missing/);
  const quantization_config = { quant_method: 'fp8', weight_block_size: [64, 32] };
  const shapes =
    /q_proj\.weight_scale_inv has shape \[2, 2\], but the configuration needs \[1, 2\]/;
  await refused(same, { quantization_config }, 'ERR_CHECKPOINT', shapes);
  const plain = /is stored as F8_E4M3 without scales of blocks; use the checkpoint in BF16/;
  await refused(same, { quantization_config: null }, 'ERR_UNSUPPORTED', plain);
});

test("numbers that Python's json writes stand where nothing reads them, and nowhere else", async (t) => {
  const folder = copyOf('granite4');
  const path = join(folder, 'config.json');
  const text = readFileSync(path, 'utf8');
  // As IBM's folders have it.
  writeFileSync(
    path,
    text.replace(/"time_step_limit": [^\]]*\]/, '"time_step_limit": [0.0, Infinity]'),
  );
  const { architecture, config } = await openCheckpoint(folder);
  t.deepEqual(config.time_step_limit, [0, Number.POSITIVE_INFINITY]);
  t.deepEqual(architecture, (await openCheckpoint(join(MODELS, 'granite4'))).architecture);
  for (const [key, word] of [
    ['rms_norm_eps', 'NaN'],
    ['residual_multiplier', 'Infinity'],
    ['num_hidden_layers', '-Infinity'],
  ] as const) {
    const changed = text.replace(new RegExp(`"${key}": [^,]+`), `"${key}": ${word}`);
    t.not(changed, text);
    writeFileSync(path, changed);
    const message = new RegExp(`${key} must be .* \\(it is ${word}\\)`);
    await t.throwsAsync(openCheckpoint(folder), { code: 'ERR_CHECKPOINT', message });
  }
});

test('a checkpoint of the bare model, without the "model." prefix, opens', async (t) => {
  const folder = copyOf('llama3-tied');
  const bare = [...readFixture('llama3-tied')].map(([name, entry]): [string, Entry] => [
    name.replace(/^model\./, ''),
    entry,
  ]);
  write(folder, new Map(bare));
  const source = await openCheckpoint(folder);
  t.is(source.model.embedding!.name, 'embed_tokens.weight');
});

test("GPT-2 as OpenAI's came: of the bare model, with its causal masks", async (t) => {
  const folder = copyOf('gpt2');
  const bare = [...readFixture('gpt2')].map(([name, entry]): [string, Entry] => [
    name.replace(/^transformer\./, ''),
    entry,
  ]);
  const mask = { dtype: 'F32', shape: [1, 1, 2, 2], data: Buffer.alloc(16) };
  write(folder, new Map([...bare, ['h.0.attn.bias', mask], ['h.1.attn.bias', mask]]));
  const source = await openCheckpoint(folder);
  t.is(source.model.positions!.name, 'wpe.weight');
  t.is(source.parameters, (await openCheckpoint(join(MODELS, 'gpt2'))).parameters);
});

test('a stored copy of a tied head is left out; another matrix there is refused', async (t) => {
  const folder = copyOf('llama3-tied');
  const tensors = readFixture('llama3-tied');
  const embedding = tensors.get('model.embed_tokens.weight')!;
  write(folder, new Map([...tensors, ['lm_head.weight', embedding]]));
  const source = await openCheckpoint(folder);
  t.is(source.model.head, undefined);
  t.is(source.parameters, (await openCheckpoint(join(MODELS, 'llama3-tied'))).parameters);

  for (const at of [0, embedding.data.length / 2, embedding.data.length - 4]) {
    const other = { ...embedding, data: Buffer.from(embedding.data) };
    other.data.writeFloatLE(7, at);
    write(folder, new Map([...tensors, ['lm_head.weight', other]]));
    await t.throwsAsync(openCheckpoint(folder), { code: 'ERR_UNSUPPORTED', message: /tie_word/ });
  }
});

const KEY = 'model.layers.1.self_attn.k_proj.weight';

/** What is done to a copy of a fixture, and the error that opening it must give. */
const BROKEN: [string, string, (folder: string) => void, string, RegExp][] = [
  [
    'missing shard',
    'llama3',
    (f) => rmSync(join(f, 'model-00003-of-00005.safetensors')),
    'ERR_CHECKPOINT',
    /model-00003-of-00005\.safetensors is missing/,
  ],
  [
    'shard of another place',
    'llama3',
    (f) =>
      cpSync(
        join(f, 'model-00001-of-00005.safetensors'),
        join(f, 'model-00002-of-00005.safetensors'),
      ),
    'ERR_CHECKPOINT',
    /stands in another shard too/,
  ],
  [
    'shard outside the folder',
    'llama3',
    (f) =>
      writeFileSync(
        join(f, 'model.safetensors.index.json'),
        '{"weight_map":{"a":"../x.safetensors"}}',
      ),
    'ERR_CHECKPOINT',
    /does not map tensors/,
  ],
  [
    'index without a map',
    'llama3',
    (f) => writeFileSync(join(f, 'model.safetensors.index.json'), '[]'),
    'ERR_CHECKPOINT',
    /not a JSON object/,
  ],
  [
    'missing tensor',
    'llama2',
    (f) => {
      const tensors = readFixture('llama2');
      tensors.delete(KEY);
      write(f, tensors);
    },
    'ERR_CHECKPOINT',
    /tensor model\.layers\.1\.self_attn\.k_proj\.weight is missing/,
  ],
  [
    'a fused tensor that lacks rows',
    'phi3',
    (f) => setConfig(f, 'phi3', { num_key_value_heads: 4 }),
    'ERR_CHECKPOINT',
    /qkv_proj\.weight has shape \[128, 64\], but the configuration needs \[192, 64\]/,
  ],
  [
    'a fused tensor that lies the other way',
    'gpt2',
    (f) => {
      const tensors = readFixture('gpt2');
      const name = 'transformer.h.0.attn.c_attn.weight';
      tensors.set(name, { ...tensors.get(name)!, shape: [192, 64] });
      write(f, tensors);
    },
    'ERR_CHECKPOINT',
    /c_attn\.weight has shape \[192, 64\], but the configuration needs \[64, 192\]/,
  ],
  [
    'unreadable dtype',
    'llama2',
    (f) => {
      const tensors = readFixture('llama2');
      tensors.set(KEY, { ...tensors.get(KEY)!, dtype: 'I16' });
      write(f, tensors);
    },
    'ERR_UNSUPPORTED',
    /k_proj\.weight is stored as I16/,
  ],
  [
    'wrong shape',
    'llama2',
    (f) => setConfig(f, 'llama2', { intermediate_size: 96 }),
    'ERR_CHECKPOINT',
    /\[160, 64\].*\[96, 64\]/,
  ],
  [
    'more blocks than stated',
    'llama2',
    (f) => setConfig(f, 'llama2', { num_hidden_layers: 2 }),
    'ERR_UNSUPPORTED',
    /no place for tensor model\.layers\.2\./,
  ],
  [
    'fewer blocks than stated',
    'llama2',
    (f) => setConfig(f, 'llama2', { num_hidden_layers: 4 }),
    'ERR_CHECKPOINT',
    /model\.layers\.3\..* is missing/,
  ],
  [
    'biases that the configuration denies',
    'llama-bias',
    (f) => setConfig(f, 'llama-bias', { mlp_bias: false }),
    'ERR_UNSUPPORTED',
    /no place for tensor .*bias/,
  ],
  [
    'untied head that is not there',
    'llama3-tied',
    (f) => setConfig(f, 'llama3-tied', { tie_word_embeddings: false }),
    'ERR_CHECKPOINT',
    /lm_head\.weight is missing; set tie_word_embeddings to true/,
  ],
  [
    'unknown family',
    'llama2',
    (f) => setConfig(f, 'llama2', { model_type: 'rwkv' }),
    'ERR_UNSUPPORTED',
    /"rwkv".*llama, mistral, .*qwen2, qwen3, .*phi3, gpt2, gpt-neox, starcoder2, opt/,
  ],
  [
    'configuration that is not JSON',
    'llama2',
    (f) => writeFileSync(join(f, 'config.json'), '{'),
    'ERR_CHECKPOINT',
    /config\.json is not a JSON object/,
  ],
  [
    'no configuration',
    'llama2',
    (f) => rmSync(join(f, 'config.json')),
    'ERR_NOT_FOUND',
    /config\.json/,
  ],
  ['no weights', 'llama2', (f) => rmSync(join(f, 'model.safetensors')), 'ERR_NOT_FOUND', /neither/],
  [
    'pickled weights',
    'llama2',
    (f) => {
      rmSync(join(f, 'model.safetensors'));
      writeFileSync(join(f, 'pytorch_model.bin'), '');
    },
    'ERR_UNSUPPORTED',
    /pytorch_model\.bin.*save_pretrained/,
  ],
];

const SLACK = 'x'.repeat(2 ** 24);
const pipe = (path: string) => {
  rmSync(path, { force: true });
  execFileSync('mkfifo', [path]);
};
const link = (target: string, path: string) => {
  rmSync(path, { force: true });
  symlinkSync(target, path);
};

/** As above, of files that are not what they seem; in a copy of a Hugging Face folder. */
const STRANGE: typeof BROKEN = [
  [
    'blocks without end',
    'llama2',
    (f) => setConfig(f, 'llama2', { num_hidden_layers: 2 ** 28 }),
    'ERR_CHECKPOINT',
    /num_hidden_layers must be 30 at most/,
  ],
  [
    'a pipe as configuration',
    'llama2',
    (f) => pipe(join(f, 'config.json')),
    'ERR_CHECKPOINT',
    /config\.json is not a regular file/,
  ],
  [
    'a pipe as index',
    'llama3',
    (f) => pipe(join(f, 'model.safetensors.index.json')),
    'ERR_CHECKPOINT',
    /index\.json is not a regular file/,
  ],
  [
    'a folder as configuration',
    'llama2',
    (f) => {
      rmSync(join(f, 'config.json'));
      mkdirSync(join(f, 'config.json'));
    },
    'ERR_CHECKPOINT',
    /config\.json is not a regular file/,
  ],
  [
    'a device as configuration',
    'llama2',
    (f) => link('/dev/zero', join(f, 'config.json')),
    'ERR_CHECKPOINT',
    /config\.json is a link to \/dev\/zero/,
  ],
  [
    'a configuration from elsewhere',
    'llama2',
    (f) => link(join(MODELS, 'llama2', 'config.json'), join(f, 'config.json')),
    'ERR_CHECKPOINT',
    /is a link to .*, which is not the model's own file; put the file itself there/,
  ],
  [
    'a configuration as large as weights',
    'llama2',
    (f) => setConfig(f, 'llama2', { slack: SLACK }),
    'ERR_CHECKPOINT',
    /config\.json has \d+ bytes, more than 16777216/,
  ],
  [
    'a configuration nested without end',
    'llama2',
    (f) => writeFileSync(join(f, 'config.json'), `{"a":${'['.repeat(1e5)}${']'.repeat(1e5)}}`),
    'ERR_CHECKPOINT',
    /config\.json is nested deeper than 128 levels/,
  ],
  [
    'a configuration in Latin-1',
    'llama2',
    (f) => writeFileSync(join(f, 'config.json'), Buffer.from('{"a":"\xe9"}', 'latin1')),
    'ERR_CHECKPOINT',
    /config\.json is not UTF-8/,
  ],
];

for (const [what, name, damage, code, message] of [...BROKEN, ...STRANGE]) {
  test(`refuses: ${what}`, async (t) => {
    const folder = copyOf(name);
    damage(folder);
    const error = await t.throwsAsync(openCheckpoint(folder));
    t.like(error, { name: 'StruPruneError', code });
    t.regex(error!.message, message);
    rmSync(folder, { recursive: true });
  });
}

test("the links of Hugging Face's cache are followed, and weights may be links to anywhere", async (t) => {
  const cache = mkdtempSync(join(tmpdir(), 'open-'));
  t.teardown(() => rmSync(cache, { recursive: true }));
  const snapshot = join(cache, 'snapshots', 'c0ffee');
  mkdirSync(snapshot, { recursive: true });
  mkdirSync(join(cache, 'blobs'));
  cpSync(join(MODELS, 'llama2', 'config.json'), join(cache, 'blobs', 'abc'));
  symlinkSync('../../blobs/abc', join(snapshot, 'config.json'));
  symlinkSync(join(MODELS, 'llama2', 'model.safetensors'), join(snapshot, 'model.safetensors'));
  t.is((await openCheckpoint(snapshot)).architecture.hidden, 64);
  const other = join(cache, 'other');
  symlinkSync(snapshot, other);
  t.is((await openCheckpoint(other)).architecture.hidden, 64);

  // A blob that is itself a link out of the cache is none.
  link(join(MODELS, 'llama2', 'config.json'), join(cache, 'blobs', 'abc'));
  const refused = { code: 'ERR_CHECKPOINT', message: /is a link to/ };
  await t.throwsAsync(openCheckpoint(snapshot), refused);
});

test('an index of many names is read in time that grows with them', async (t) => {
  const folder = copyOf('llama3');
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = 'model-00001-of-00005.safetensors';
  const names = Array.from({ length: 2e5 }, (_, i) => [`model.layers.${i}.weight`, file]);
  const index = JSON.stringify({ weight_map: Object.fromEntries(names) });
  writeFileSync(join(folder, 'model.safetensors.index.json'), index);
  const start = performance.now();
  await t.throwsAsync(openCheckpoint(folder), {
    message: /does not hold model\.layers\.0\.weight/,
  });
  // Two minutes, where every name copied the list of those before it.
  t.true(performance.now() - start < 20_000);
});

test('a folder with an adapter, or with a GGUF file, is told what to give instead', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'open-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'model.gguf'), '');
  await t.throwsAsync(openCheckpoint(folder), {
    code: 'ERR_NOT_FOUND',
    message: /there is no .*config\.json; give a GGUF file by its own path: .*model\.gguf$/,
  });
  writeFileSync(join(folder, 'adapter_config.json'), '{}');
  await t.throwsAsync(openCheckpoint(folder), { message: /PEFT adapter: .*merge_and_unload/ });
});

test('refuses paths that are no checkpoint', async (t) => {
  await t.throwsAsync(openCheckpoint('/nowhere/at/all'), { code: 'ERR_NOT_FOUND' });
  await t.throwsAsync(openCheckpoint(__filename), { code: 'ERR_UNSUPPORTED' });
});

const PARTS = ['00001', '00002', '00003'].map((part) => `model-${part}-of-00003.gguf`);

/** The parts that gguf-py wrote, in a folder of their own. */
function copyOfParts(): string {
  const folder = mkdtempSync(join(tmpdir(), 'open-'));
  for (const name of PARTS) cpSync(join(MODELS, 'smollm3', name), join(folder, name));
  return folder;
}

test('a split GGUF file is opened by its first part, all of its tensors from theirs', async (t) => {
  const { files, blocks } = await openCheckpoint(join(MODELS, 'smollm3', PARTS[0]!));
  t.deepEqual(
    files,
    PARTS.map((name) => join(MODELS, 'smollm3', name)),
  );
  const places = new Set(blocks.flatMap((block) => Object.values(block)).map(({ file }) => file));
  t.deepEqual([...places].sort(), [0, 1, 2]);
  await t.throwsAsync(openCheckpoint(join(MODELS, 'smollm3', PARTS[1]!)), {
    code: 'ERR_UNSUPPORTED',
    message: /one of 3 parts of a split GGUF file, and not the first; .*model-00001-of-00003\.gguf/,
  });
});

const DAMAGES: [what: string, damage: (folder: string) => void, message: RegExp][] = [
  [
    'that lacks one',
    (folder) => rmSync(join(folder, PARTS[2]!)),
    /part 3 of 3 is missing: there is no .*model-00003-of-00003\.gguf/,
  ],
  [
    'of which one stands for another',
    (folder) => cpSync(join(folder, PARTS[1]!), join(folder, PARTS[2]!)),
    /says that it is part 2 of 3, not part 3 of 3/,
  ],
  [
    'of which one is a whole file',
    (folder) => cpSync(join(MODELS, 'qwen2', 'model.gguf'), join(folder, PARTS[1]!)),
    /says that it is no part of one, not part 2 of 3/,
  ],
  [
    'without a part in its name',
    (folder) => renameSync(join(folder, PARTS[0]!), join(folder, 'model.gguf')),
    /one of 3 parts of a split GGUF file, but its name does not say which/,
  ],
];

for (const [what, damage, message] of DAMAGES) {
  test(`a split GGUF file ${what} is refused`, async (t) => {
    const folder = copyOfParts();
    t.teardown(() => rmSync(folder, { recursive: true }));
    damage(folder);
    const first = join(
      folder,
      readdirSync(folder).includes('model.gguf') ? 'model.gguf' : PARTS[0]!,
    );
    await t.throwsAsync(openCheckpoint(first), { code: 'ERR_CHECKPOINT', message });
  });
}

/** Parts of a model of one tensor each, as they say. */
async function writeParts(folder: string, names: readonly string[], promised: number) {
  for (const [part, name] of names.entries()) {
    const tensor: OutputTensor = { name, dtype: 'F32', shape: [1] };
    const writer = await GgufWriter.create(
      join(folder, `m-0000${part + 1}-of-00002.gguf`),
      [tensor],
      {
        'general.architecture': { type: 'string', value: 'llama' },
        'split.no': { type: 'uint16', value: part },
        'split.count': { type: 'uint16', value: 2 },
        'split.tensors.count': { type: 'int32', value: promised },
      },
    );
    await writer.append(tensor.name, new Uint8Array(4));
    await writer.close();
  }
}

test('a split GGUF file has every tensor once, and as many as it says', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'open-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const first = join(folder, 'm-00001-of-00002.gguf');
  await writeParts(folder, ['a', 'a'], 2);
  await t.throwsAsync(openCheckpoint(first), { message: /tensor a stands in another part too/ });
  for (const name of readdirSync(folder)) rmSync(join(folder, name));
  await writeParts(folder, ['a', 'b'], 3);
  await t.throwsAsync(openCheckpoint(first), { message: /its 2 parts hold 2 tensors of 3/ });
});

test('what a whole GGUF file still says of parts is nothing to it', (t) => {
  const header = parseGguf(join(MODELS, 'qwen2', 'model.gguf'), 4096);
  // As llama-gguf-split --merge leaves them.
  const left = {
    'split.count': { type: 'uint16', value: 0 },
    'split.tensors.count': { type: 'int32', value: header.tensors.length + 1 },
  } as const;
  const whole = readSplit('whole.gguf', { ...header, metadata: { ...header.metadata, ...left } });
  t.deepEqual(whole.files, ['whole.gguf']);
  t.is(whole.tensors.length, header.tensors.length);
});

test('an index left beside the one file is of an earlier checkpoint, as for transformers', async (t) => {
  const folder = copyOf('llama2');
  t.teardown(() => rmSync(folder, { recursive: true }));
  const { parameters } = await openCheckpoint(folder);
  const index = { weight_map: { 'lm_head.weight': 'model-00001-of-00002.safetensors' } };
  writeFileSync(join(folder, 'model.safetensors.index.json'), JSON.stringify(index));
  t.is((await openCheckpoint(folder)).parameters, parameters);
});

test('a tied head of another dtype than the embedding is refused with both', async (t) => {
  const folder = copyOf('llama3-tied');
  t.teardown(() => rmSync(folder, { recursive: true }));
  const tensors = readFixture('llama3-tied');
  const { dtype, shape } = tensors.get('model.embed_tokens.weight')!;
  const count = shape.reduce((product, size) => product * size, 1);
  const other = dtype === 'BF16' ? 'F16' : 'BF16';
  tensors.set('lm_head.weight', { dtype: other, shape, data: Buffer.alloc(2 * count) });
  write(folder, tensors);
  await t.throwsAsync(openCheckpoint(folder), {
    code: 'ERR_UNSUPPORTED',
    message: new RegExp(`as ${other} and ${dtype}`),
  });
});
