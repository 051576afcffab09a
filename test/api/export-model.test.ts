/** A model in another format computes what it did, and the whole way there and back gives the same weights. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { evaluate, exportModel, openModel, plan } from '../../lib';
import { parseGguf } from '../../lib/checkpoint/container';
import { GgufWriter } from '../../lib/checkpoint/gguf-writer';
import { ggufMetadataFromTokenizer, inThread, readTokenizerFiles } from '../../lib/tokenizer';
import { hashesOf } from '../e2e/files';
import { mixedGguf } from '../e2e/mixed-gguf';
import { EVALUATION, MODEL, workFolder } from './models';

const work = workFolder();
test.after.always(() => work.remove());
const nll = async (model: string) =>
  (await evaluate(model, { text: EVALUATION, window: 128, maxTokens: 512, threads: 1 })).meanNll;

test('to gguf and back', async (t) => {
  const blocks: (number | null)[] = [];
  const gguf = await exportModel(MODEL, {
    output: work.path('model.gguf'),
    format: 'gguf',
    onProgress: ({ block }) => blocks.push(block),
  });
  const model = await openModel(MODEL);
  t.deepEqual(blocks, [...model.architecture.blocks.keys()]);
  t.like(gguf, { format: 'gguf', kind: 'llama.cpp' });
  t.is(await nll(gguf.output), await nll(MODEL));
  const back = await exportModel(gguf.output, { output: work.path('back') });
  const original = await exportModel(model, { output: work.path('again') });
  t.is(hashesOf(back.output)['model.safetensors'], hashesOf(original.output)['model.safetensors']);
  t.is((await openModel(back.output)).parameters, model.parameters);
});

/** Name, type and bytes of a file's tensors. */
function tensorsOf(file: string): [name: string, dtype: string, bytes: string][] {
  const bytes = readFileSync(file);
  return parseGguf(file).tensors.map(({ name, dtype, offset, bytes: length }) => [
    name,
    dtype,
    bytes.subarray(offset, offset + length).toString('base64'),
  ]);
}

test('a file of few bits is written again in its own type, with every byte of its weights; a folder in f16', async (t) => {
  for (const dtype of ['q4_0', 'q4_1', 'q5_0', 'q5_1', 'q8_0'] as const) {
    const first = await exportModel(MODEL, { output: work.path(`${dtype}.gguf`), dtype });
    const second = await exportModel(first.output, {
      output: work.path('again.gguf'),
      force: true,
    });
    t.is(second.dtype, dtype);
    const [before, after] = [tensorsOf(first.output), tensorsOf(second.output)];
    t.true(before.some(([name, of]) => name.startsWith('blk.') && of === dtype.toUpperCase()));
    t.deepEqual(after, before, dtype);
    const folder = await exportModel(first.output, { output: work.path(`${dtype}-folder`) });
    t.is(folder.dtype, 'f16');
  }
});

test('by default a quantised file is copied, and what a prune of it refits has as many bits', async (t) => {
  const files: Record<string, string> = {};
  for (const dtype of ['f32', 'f16', 'q4_1', 'q8_0'] as const) {
    const output = work.path(`mix-${dtype}.gguf`);
    files[dtype] = (await exportModel(MODEL, { output, dtype })).output;
  }
  // Base, its tensors of another file by name; what the copy is called; what is refitted.
  const rows = [
    ['q4_1', 'q8_0', /^blk\.1\.ffn_down/, 'q4_1+q8_0', 'q5_1'],
    ['q4_1', 'q8_0', /ffn_down/, 'q4_1+q8_0', 'q8_0'],
    ['q4_1', 'f32', /^blk\.0\.attn_q\./, 'q4_1', 'q4_1'],
    ['f32', 'q4_1', /^blk\..*(gate|up)/, 'q4_1', 'f32'],
    ['q4_1', 'f32', /ffn_down/, 'q4_1', 'f16'],
    // Vectors, embeddings and head have types of their own.
    ['q4_1', 'f16', /embd|^output\.|norm/, 'q4_1', 'q4_1'],
    ['f32', 'f16', /ffn/, 'f32', 'f32'],
    ['f16', 'f32', /^blk\.0\.(?!attn_output\.)/, 'f16', 'f16'],
  ] as const;
  for (const [base, other, names, called, refitted] of rows) {
    const words = `${base} with ${names} in ${other}`;
    const mix = { base: files[base]!, other: files[other]!, names };
    const mixed = await mixedGguf(work.path('mixed.gguf'), mix);
    const { output, dtype } = await exportModel(mixed, { output: work.path('of-mixed.gguf') });
    t.is(dtype, called, words);
    if (called.startsWith('q')) {
      t.deepEqual(tensorsOf(output), tensorsOf(mixed), words);
    }
    t.is((await plan(mixed, { output: 'x.gguf' })).dtype, refitted, words);
  }
});

test('chat templates come along, the named ones too', async (t) => {
  const model = work.path('chatty');
  cpSync(MODEL, model, { recursive: true });
  const named = 'additional_chat_templates';
  mkdirSync(join(model, named));
  writeFileSync(join(model, named, 'notes.txt'), 'no template');
  const templates = ['chat_template.jinja', join(named, 'tool_use.jinja')];
  for (const name of templates) writeFileSync(join(model, name), `{{ '${name}' }}`);
  const { output } = await exportModel(model, { output: work.path('chatty-out') });
  for (const name of templates) {
    t.is(readFileSync(join(output, name), 'utf8'), `{{ '${name}' }}`);
  }
  t.false(existsSync(join(output, named, 'notes.txt')));

  // By way of two GGUF files, the second made of the first.
  const one = await exportModel(model, { output: work.path('chatty.gguf') });
  const two = await exportModel(one.output, { output: work.path('chatty-2.gguf'), dtype: 'f32' });
  for (const file of [one, two]) {
    const { metadata } = parseGguf(file.output);
    t.is(metadata['tokenizer.chat_template']!.value, "{{ 'chat_template.jinja' }}");
    t.is(metadata['tokenizer.chat_template.tool_use']!.value, `{{ '${templates[1]}' }}`);
    t.deepEqual(metadata['tokenizer.chat_templates']!.value, ['tool_use']);
  }
  const back = await exportModel(two.output, { output: work.path('chatty-back') });
  const config = JSON.parse(readFileSync(join(back.output, 'tokenizer_config.json'), 'utf8'));
  t.deepEqual(config.chat_template, [
    { name: 'default', template: "{{ 'chat_template.jinja' }}" },
    { name: 'tool_use', template: `{{ '${templates[1]}' }}` },
  ]);
});

test('what a GGUF file says of its tokenizer beside ours stays in one made of it', async (t) => {
  const { tokenizerJson, tokenizerConfig } = readTokenizerFiles({ kind: 'folder', folder: MODEL });
  const vocab = (await openModel(MODEL)).architecture.vocab;
  const stated = { type: 'uint32', value: 2 };
  const metadata = {
    'general.architecture': { type: 'string', value: 'llama' },
    ...ggufMetadataFromTokenizer(tokenizerJson, tokenizerConfig, vocab),
    'tokenizer.ggml.eot_token_id': stated,
  };
  const file = work.path('vocabulary.gguf');
  const writer = await GgufWriter.create(file, [], metadata, {});
  await writer.close();
  const job = { source: { kind: 'gguf', file }, vocab } as const;
  const made = await inThread('metadata', job);
  t.deepEqual(made['tokenizer.ggml.eot_token_id'], stated);
  const wanted = Object.keys(metadata).filter((key) => key !== 'general.architecture');
  t.deepEqual(Object.keys(made).sort(), wanted.sort());
});

test('nothing is left of an output whose source went away after it was opened', async (t) => {
  const model = work.path('gone');
  cpSync(MODEL, model, { recursive: true });
  const opened = await openModel(model);
  rmSync(join(model, 'model.safetensors'));
  const folder = work.path('empty');
  mkdirSync(folder);
  for (const output of ['out', 'out.gguf']) {
    await t.throwsAsync(exportModel(opened, { output: join(folder, output) }), {
      code: 'ERR_NOT_FOUND',
    });
  }
  t.deepEqual(readdirSync(folder), []);
});

test('what is refused leaves nothing', async (t) => {
  const output = work.path('refused');
  await t.throwsAsync(exportModel(MODEL, { output, dtype: 'q8_0' }), { code: 'ERR_UNSUPPORTED' });
  await t.throwsAsync(exportModel(MODEL, { output, dtype: 'int4' as never }), {
    code: 'ERR_ARGUMENT',
  });
  const signal = AbortSignal.abort(new Error('no'));
  await t.throwsAsync(exportModel(MODEL, { output, signal }), { message: 'no' });
  t.false(existsSync(output));
  await exportModel(MODEL, { output });
  await t.throwsAsync(exportModel(MODEL, { output }), { code: 'ERR_OUTPUT' });
  await exportModel(MODEL, { output, force: true });
});
