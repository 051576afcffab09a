/** Checkpoints of strangers: what they name as code is not carried over, what lies outside of their folder is not copied. */
import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { evaluate, exportModel, prune } from '../../lib';
import { CALIBRATION, workspace } from './models';

const work = workspace();
test.after.always(() => work.remove());

const CODE = { AutoTokenizer: ['evil.Tokenizer', null], AutoModelForCausalLM: 'evil.Model' };
const KERNEL = { attn_implementation: 'stranger/kernel' };

/** A model whose every configuration names code. */
function armed(): string {
  const folder = work.model('llama2');
  const edit = (name: string, more: object) => {
    const path = join(folder, name);
    writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...more }));
  };
  edit('config.json', {
    ...KERNEL,
    auto_map: CODE,
    custom_pipelines: { 'text-generation': { impl: 'evil.Pipeline' } },
    text_config: { note: 'kept', layers: [{ auto_map: CODE }] },
  });
  edit('generation_config.json', { auto_map: CODE, custom_generate: 'stranger/generate' });
  edit('tokenizer_config.json', { auto_map: CODE, extra: { auto_map: CODE, kept: true } });
  writeFileSync(join(folder, 'special_tokens_map.json'), JSON.stringify({ auto_map: CODE }));
  writeFileSync(join(folder, 'evil.py'), 'raise SystemExit');
  return folder;
}

const NAMES =
  /"(auto_map|custom_pipelines|custom_generate|_?(attn|experts)_implementation)"|evil|stranger/;

function written(folder: string): Record<string, string> {
  const texts = readdirSync(folder).filter((name) => !name.endsWith('.safetensors'));
  return Object.fromEntries(texts.map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
}

const DROPPED =
  /names code of its own, which the output does not: (.*auto_map of (config|generation_config|tokenizer_config|special_tokens_map)\.json){4}/;

test('an export names no code, and says what it left out', async (t) => {
  const { notes, output } = await exportModel(armed(), { output: work.path('out') });
  t.true(
    notes.some((note) => DROPPED.test(note)),
    notes.join(),
  );
  const texts = written(output);
  for (const [name, text] of Object.entries(texts)) t.notRegex(text, NAMES, name);
  t.deepEqual(JSON.parse(texts['config.json']!).text_config, { note: 'kept', layers: [{}] });
  t.deepEqual(JSON.parse(texts['tokenizer_config.json']!), { extra: { kept: true } });
});

test('a pruned model of unlike widths names no code but its own, and the run warns', async (t) => {
  const output = work.path('out');
  const warnings: string[] = [];
  const result = await prune(armed(), {
    output,
    calibration: CALIBRATION,
    calibrationTokens: 128,
    tuneTokens: 0,
    window: 32,
    sparsity: 0.3,
    allocation: 'energy',
    layerWeights: 'none',
    scope: 'ffn',
    ffnSolver: 'output',
    threads: 1,
    onWarning: (warning) => warnings.push(warning),
  });
  t.true(warnings.some((warning) => DROPPED.test(warning)));
  t.true(result.warnings.some((warning) => DROPPED.test(warning)));
  const { 'config.json': config, 'README.md': _card, ...texts } = written(output);
  for (const [name, text] of Object.entries(texts)) {
    if (name.endsWith('.json')) t.notRegex(text, NAMES, name);
  }
  const { auto_map, ...rest } = JSON.parse(config!);
  t.notRegex(JSON.stringify(rest), NAMES);
  t.is(result.kind, 'own-modeling');
  t.deepEqual(auto_map, {
    AutoConfig: 'configuration_struprune.StrupruneLlamaConfig',
    AutoModel: 'modeling_struprune.StrupruneLlamaModel',
    AutoModelForCausalLM: 'modeling_struprune.StrupruneLlamaForCausalLM',
  });
});

test('keys of a vocabulary are tokens, whatever they are called', async (t) => {
  const model = work.model('llama2');
  const path = join(model, 'tokenizer.json');
  const tokenizer = JSON.parse(readFileSync(path, 'utf8'));
  tokenizer.model.vocab = { ...tokenizer.model.vocab, auto_map: 300 };
  writeFileSync(path, JSON.stringify(tokenizer));
  const { output, notes } = await exportModel(model, { output: work.path('out') });
  t.deepEqual(readFileSync(join(output, 'tokenizer.json')), readFileSync(path));
  t.deepEqual(notes, []);
});

const COPIED = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'tokenizer.model',
  'merges.txt',
  'chat_template.jinja',
  'generation_config.json',
  'additional_chat_templates/tool.jinja',
];

function put(path: string, make: (path: string) => void): void {
  rmSync(path, { force: true });
  mkdirSync(join(path, '..'), { recursive: true });
  make(path);
}

for (const name of COPIED) {
  test(`${name}: a link out of the folder, a pipe, a folder or a flood is refused`, async (t) => {
    const secret = work.path('secret');
    writeFileSync(secret, '{"secret":1}');
    const rows: [message: RegExp, make: (path: string) => void][] = [
      [/is a link to .*secret, which is not/, (path) => symlinkSync(secret, path)],
      [/is a link to \/dev\/zero, which is not/, (path) => symlinkSync('/dev/zero', path)],
      [/is not a regular file/, (path) => execFileSync('mkfifo', [path])],
      [/is not a regular file/, (path) => mkdirSync(path)],
      [
        /has 100000000 bytes, more than/,
        (path) => {
          writeFileSync(path, '');
          truncateSync(path, 1e8);
        },
      ],
    ];
    for (const [message, make] of rows) {
      const model = work.model('llama2');
      put(join(model, name), make);
      const code = name === 'generation_config.json' ? 'ERR_CHECKPOINT' : 'ERR_TOKENIZER';
      const output = work.path('out');
      await t.throwsAsync(exportModel(model, { output }), { code, message });
    }
  });
}

test('a folder of templates that lies elsewhere is refused', async (t) => {
  const model = work.model('llama2');
  const elsewhere = work.path('elsewhere');
  mkdirSync(elsewhere);
  writeFileSync(join(elsewhere, 'tool.jinja'), 'secret');
  symlinkSync(elsewhere, join(model, 'additional_chat_templates'));
  const message = /tool\.jinja is a link to .*, which is not the model's own file/;
  await t.throwsAsync(exportModel(model, { output: work.path('out') }), { message });
});

test("a model out of Hugging Face's cache is copied through its links", async (t) => {
  const cache = work.path('models--org--name');
  const model = work.model('llama2');
  mkdirSync(join(model, 'additional_chat_templates'));
  writeFileSync(join(model, 'additional_chat_templates', 'tool.jinja'), 'of tools');
  const snapshot = join(cache, 'snapshots', 'c0ffee');
  mkdirSync(join(cache, 'blobs'), { recursive: true });
  for (const [index, name] of readdirSync(model, { recursive: true }).entries()) {
    const path = join(model, String(name));
    if (name === 'additional_chat_templates') continue;
    const blob = join(cache, 'blobs', `b10b${index}`);
    writeFileSync(blob, readFileSync(path));
    mkdirSync(join(snapshot, String(name), '..'), { recursive: true });
    symlinkSync(blob, join(snapshot, String(name)));
  }
  const { output } = await exportModel(snapshot, { output: work.path('out') });
  t.is(readFileSync(join(output, 'additional_chat_templates', 'tool.jinja'), 'utf8'), 'of tools');
});

test('a text that is a pipe or has no end is refused before work starts', async (t) => {
  const model = work.model('llama2');
  const pipe = work.path('pipe.txt');
  execFileSync('mkfifo', [pipe]);
  const records = work.path('pipe.jsonl');
  execFileSync('mkfifo', [records]);
  const refused = { code: 'ERR_TEXT', message: /is a pipe or a device/ };
  const onProgress = () => t.fail('work began');
  for (const text of [pipe, records, '/dev/zero']) {
    await t.throwsAsync(evaluate(model, { text, threads: 1, onProgress }), refused);
    const output = work.path('out');
    const options = { output, sparsity: 0.2, threads: 1, onProgress };
    await t.throwsAsync(prune(model, { ...options, calibration: text }), refused);
    const also = { calibration: CALIBRATION, eval: text };
    await t.throwsAsync(prune(model, { ...options, ...also }), refused);
  }
});
