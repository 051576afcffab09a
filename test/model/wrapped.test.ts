/** Text models inside of models of text and images, as configurations of several versions state them. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { exportModel } from '../../lib/export-model';
import { safetensors, safetensorsBytes } from '../e2e/files';
import { MODELS } from './fixture';

const folders: string[] = [];
test.after.always(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

type Config = Record<string, unknown> & { text_config: Record<string, unknown> };

/** A copy of a fixture with another config.json. */
function changed(name: string, change: (config: Config) => object): string {
  const folder = mkdtempSync(join(tmpdir(), 'wrapped-'));
  folders.push(folder);
  cpSync(join(MODELS, name), folder, { recursive: true });
  const path = join(folder, 'config.json');
  writeFileSync(path, JSON.stringify(change(JSON.parse(readFileSync(path, 'utf8')))));
  return folder;
}

const inText = (more: object) => (config: Config) => ({
  ...config,
  text_config: { ...config.text_config, ...more },
});

test('keys of the text model beside the others, and three axes of positions, as Qwen2.5-VL has them', async (t) => {
  const folder = changed('qwen2.5-vision', ({ text_config, ...config }) => {
    const { model_type, rope_parameters, ...text } = text_config;
    const { rope_theta, mrope_section } = rope_parameters as Record<string, unknown>;
    const rope_scaling = { type: 'mrope', mrope_section };
    return { ...text, ...config, rope_theta, rope_scaling };
  });
  const [flat, nested] = [
    await openCheckpoint(folder),
    await openCheckpoint(join(MODELS, 'qwen2.5-vision')),
  ];
  t.true(flat.wrapped!.flat);
  t.false(nested.wrapped!.flat);
  t.deepEqual(flat.architecture, nested.architecture);
  t.is(flat.parameters, nested.parameters);
});

test('values that the text class takes for absent keys', async (t) => {
  const lacking = (...keys: string[]) =>
    inText(Object.fromEntries(keys.map((key) => [key, undefined])));
  const { architecture } = await openCheckpoint(
    changed('qwen2.5-vision', lacking('rms_norm_eps', 'rope_parameters', 'model_type')),
  );
  t.is(architecture.norm.eps, 1e-5);
  t.is(architecture.rope!.theta, 1e6);
  const qwen3 = await openCheckpoint(changed('qwen3-vision', lacking('rope_parameters')));
  t.is(qwen3.architecture.rope!.theta, 5e5);
});

const TIES: [model: string, outer: unknown, inner: unknown, tied: boolean | RegExp][] = [
  // There is no head.
  ['gemma3-vision', undefined, undefined, true],
  ['gemma3-vision', false, true, true],
  ['gemma3-vision', true, false, true],
  ['gemma3-vision', false, false, /lm_head\.weight is missing/],
  // There is one.
  ['mistral3-vision', undefined, undefined, false],
  ['mistral3-vision', false, true, false],
  ['mistral3-vision', undefined, false, false],
  ['mistral3-vision', true, false, /two different matrices/],
];
for (const [model, outer, inner, tied] of TIES) {
  test(`${model}: tied ${outer} outside, ${inner} inside`, async (t) => {
    const folder = changed(model, (config) => ({
      ...inText({ tie_word_embeddings: inner })(config),
      tie_word_embeddings: outer,
    }));
    if (typeof tied === 'boolean') {
      t.is((await openCheckpoint(folder)).architecture.tiedEmbeddings, tied);
    } else {
      await t.throwsAsync(openCheckpoint(folder), { message: tied });
    }
  });
}

const REFUSED: [what: string, change: (config: Config) => object, code: string, message: RegExp][] =
  [
    [
      'another text model',
      inText({ model_type: 'gemma' }),
      'ERR_UNSUPPORTED',
      /Mistral3ForConditionalGeneration whose text model is "gemma" is not supported; use one whose text model is mistral, ministral3$/,
    ],
    [
      'another model around',
      (config) => ({ ...config, model_type: 'paligemma' }),
      'ERR_UNSUPPORTED',
      /model_type "paligemma" is not one .*; with images: gemma3, mistral3, llava, qwen2_vl/,
    ],
    [
      'quantised weights',
      (config) => ({ ...config, quantization_config: { quant_method: 'fp8' } }),
      'ERR_UNSUPPORTED',
      /with quantised weights is not supported; use the unquantised checkpoint/,
    ],
    [
      'no text model',
      ({ text_config, ...config }) => config,
      'ERR_CHECKPOINT',
      /text_config must be/,
    ],
    [
      'a text model that is none',
      (config) => ({ ...config, text_config: [1] }),
      'ERR_CHECKPOINT',
      /text_config must be an object/,
    ],
    [
      'widths that the files have not',
      inText({ intermediate_size: 64 }),
      'ERR_CHECKPOINT',
      /model\.language_model\.layers\.0\.mlp\.gate_proj\.weight has shape/,
    ],
  ];
for (const [what, change, code, message] of REFUSED) {
  test(`refused: ${what}`, async (t) => {
    await t.throwsAsync(openCheckpoint(changed('mistral3-vision', change)), { code, message });
  });
}

test('refused: no embeddings of the text model', async (t) => {
  const folder = changed('smolvlm', (config) => config);
  const rest = safetensorsBytes(folder, (name) => (name.includes('embed_tokens') ? [] : [name]));
  writeFileSync(join(folder, 'model.safetensors'), rest);
  await t.throwsAsync(openCheckpoint(folder), {
    code: 'ERR_CHECKPOINT',
    message: /has its text model's embeddings as model\.text_model\.embed_tokens\.weight, and/,
  });
});

test('tensors of any type may lie around the text model; integers are no parameters', async (t) => {
  const folder = changed('llava', (config) => config);
  const before = await openCheckpoint(folder);
  const bytes = readFileSync(join(folder, 'model.safetensors'));
  const end = 8 + Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.subarray(8, end).toString());
  const at = bytes.length - end;
  header['vision_tower.position_ids'] = { dtype: 'I64', shape: [2], data_offsets: [at, at + 16] };
  const text = Buffer.from(JSON.stringify(header));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(text.length));
  const all = Buffer.concat([size, text, bytes.subarray(end), Buffer.alloc(16, 7)]);
  writeFileSync(join(folder, 'model.safetensors'), all);
  const after = await openCheckpoint(folder);
  t.is(after.parameters, before.parameters);
  t.is(after.wrapped!.others.length, before.wrapped!.others.length + 1);
  const { output } = await exportModel(folder, { output: `${folder}-out` });
  folders.push(output);
  t.deepEqual(safetensors(output), safetensors(folder));
});
