/**
 * SmolLM2's tokenizer, rebuilt from its GGUF file, and the small ones of test/tokenizer/fixtures, on whole corpora
 * against Python's `tokenizers` and transformers; llama.cpp on files of their vocabularies. Corpora: $STRUPRUNE_DATA, shared/data or ../shared/data.
 */
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { writeRandomCheckpoint } from '../../lib/bench/memory/random-checkpoint';
import { parseGguf } from '../../lib/checkpoint/container';
import { exportModel } from '../../lib/export-model';
import {
  loadTokenizer,
  type TokenizerSource,
  tokenize,
  tokenizerFromGguf,
} from '../../lib/tokenizer';
import { PRE_TOKENIZERS } from '../../lib/tokenizer/gguf-pre-tokenizers';
import { answerTo, spelled } from '../hostile/tokenizer-answer';
import { tokenizerRequest } from '../hostile/tokenizers';
import { isLong } from '../long';
import { llamaIds } from './prune-oracles';

const ROOT = join(__dirname, '..', '..');
const FIXTURES = join(ROOT, 'test', 'tokenizer', 'fixtures');
const DATA = [
  process.env.STRUPRUNE_DATA,
  join(ROOT, 'shared', 'data'),
  join(ROOT, '..', 'shared', 'data'),
];
/** Tokens of SmolLM2, where they are known from elsewhere. */
const CORPORA = [
  { path: 'wikitext-2/wiki.test.raw', tokens: 301_948 },
  { path: 'wikitext-2/wiki.valid.tokens', tokens: null },
  { path: 'ptb/ptb.test.txt', tokens: null },
];

const work = mkdtempSync(join(tmpdir(), 'struprune-tokenizer-'));
test.after.always(() => rmSync(work, { recursive: true, force: true }));

const data = DATA.find((path) => path !== undefined && existsSync(join(path, CORPORA[0]!.path)));

/** Without the corpora, the project's own prose and the difficult strings still say something. */
function texts(): { path: string; tokens: number | null }[] {
  const strings = join(work, 'strings.txt');
  const { texts } = JSON.parse(readFileSync(join(FIXTURES, 'smollm', 'expected.json'), 'utf8'));
  // Line ends are not what is tested here, and Python must see the same text.
  writeFileSync(strings, (texts as string[]).join('\n').repeat(50));
  // The first says most; STRUPRUNE_LONG=1 takes all.
  const chosen = isLong ? CORPORA : CORPORA.slice(0, 1);
  const corpora = chosen.map(({ path, tokens }) => ({ path: join(data ?? '', path), tokens }));
  return [{ path: strings, tokens: null }, ...(data ? corpora : [])];
}

test('ids of whole corpora equal those of tokenizers and transformers', async (t) => {
  if (!data) t.log('no WikiText-2 and PTB here; only the difficult strings are compared');
  const file = process.env.STRUPRUNE_MODEL!;
  const smollm2 = tokenizerFromGguf(parseGguf(file).metadata);
  const sources: Record<string, TokenizerSource> = { smollm2: { kind: 'gguf', file } };
  mkdirSync(join(work, 'smollm2'));
  writeFileSync(join(work, 'smollm2', 'tokenizer.json'), JSON.stringify(smollm2.tokenizerJson));
  writeFileSync(
    join(work, 'smollm2', 'tokenizer_config.json'),
    JSON.stringify(smollm2.tokenizerConfig),
  );
  for (const entry of readdirSync(FIXTURES, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    mkdirSync(join(work, entry.name));
    for (const file of ['tokenizer.json', 'tokenizer_config.json']) {
      copyFileSync(join(FIXTURES, entry.name, file), join(work, entry.name, file));
    }
    sources[entry.name] = { kind: 'folder', folder: join(work, entry.name) };
  }
  const inputs = texts();
  const folders = Object.keys(sources).map((name) => join(work, name));
  const python = promisify(execFile)(
    'python3',
    [join(__dirname, 'tokenizer.py'), ...folders, '--', ...inputs.map(({ path }) => path)],
    {
      env: { ...process.env, PYTHONPATH: process.env.STRUPRUNE_ORACLES, OMP_NUM_THREADS: '1' },
      encoding: 'utf8',
    },
  );
  // As many at once as there are cores.
  const queue = Object.entries(sources);
  const ours: Record<string, Int32Array[]> = {};
  const takeTurns = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const [name, source] = next;
      ours[name] = [];
      for (const { path } of inputs) ours[name].push(await tokenize(source, path));
    }
  };
  const workers = Array.from({ length: availableParallelism() }, takeTurns);
  const [{ stdout: chat }] = await Promise.all([python, ...workers]);
  t.true(chat.includes('<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n'), chat);
  for (const name of Object.keys(sources)) {
    for (const [index, { path, tokens }] of inputs.entries()) {
      const ids = ours[name]![index]!;
      const bytes = readFileSync(join(work, name, `${index}.i32`));
      const expected = Int32Array.from({ length: bytes.length / 4 }, (_, i) =>
        bytes.readInt32LE(4 * i),
      );
      const differs = expected.findIndex((id, i) => id !== ids[i]);
      t.is(differs, -1, `${name}, ${basename(path)}: first difference`);
      t.is(ids.length, expected.length, `${name}, ${basename(path)}`);
      if (name === 'smollm2' && tokens !== null) t.is(ids.length, tokens);
    }
  }
});

/** Other ones than the fixtures'. */
const VARIANTS = { from: 100_000, count: 2000 };

test('variants of tokenizers have the ids and texts of Rust, or are refused', async (t) => {
  const requests = Array.from({ length: VARIANTS.count }, (_, i) =>
    tokenizerRequest(VARIANTS.from + i),
  );
  const python = spawnSync('python3', [join(__dirname, 'tokenizer_differential.py')], {
    env: { ...process.env, PYTHONPATH: process.env.STRUPRUNE_ORACLES },
    input: requests.map((request) => `${JSON.stringify(request)}\n`).join(''),
    encoding: 'utf8',
    maxBuffer: 1 << 30,
  });
  const answers = python.stdout.trim().split('\n');
  t.is(answers.length, requests.length, python.stderr);
  const folder = join(work, 'variants');
  mkdirSync(folder);
  let same = 0;
  for (const [i, request] of requests.entries()) {
    const ours = answerTo(request, folder);
    if (ours === null) continue;
    const { ids, decoded, error } = JSON.parse(answers[i]!);
    const about = `seed ${VARIANTS.from + i}: ${request.what}`;
    t.is(error, undefined, about);
    t.is(ours, spelled(ids, decoded), about);
    same++;
  }
  t.true(same > VARIANTS.count / 3, `${same} are accepted`);
});

/** Each with what is its own in a file; "default" too, which files hold that name none. */
const WRITTEN = [
  ...['gpt2', 'smollm', 'llama3', 'dbrx', 'qwen2', 'qwen35', 'seed', 'tekken', 'o200k'],
  ...['llama-cpp', 'llama2'],
];

const expectedOf = (name: string): { texts: string[] } =>
  JSON.parse(readFileSync(join(FIXTURES, name, 'expected.json'), 'utf8'));

/** A GGUF file with the fixture's tokenizer. */
async function writtenFile(name: string, model: string): Promise<string> {
  const folder = join(work, model);
  const config = {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    // One more than any fixture's largest id.
    vocab_size: 700,
    hidden_size: 32,
    intermediate_size: 64,
    num_hidden_layers: 1,
    num_attention_heads: 1,
    rms_norm_eps: 1e-5,
    max_position_embeddings: 128,
    tie_word_embeddings: true,
  };
  await writeRandomCheckpoint(folder, config, join(FIXTURES, name));
  const output = `${folder}.gguf`;
  await exportModel(folder, { output, format: 'gguf', dtype: 'f16' });
  return output;
}

for (const name of WRITTEN) {
  test(`llama.cpp gives the ids of a GGUF file that we wrote: ${name}`, async (t) => {
    const file = await writtenFile(name, `model-${name}`);
    const expected = expectedOf(name);
    // llama.cpp has no normal forms.
    const texts = expected.texts.filter(
      (text) => !name.startsWith('qwen') || text === text.normalize('NFC'),
    );
    const [theirs] = llamaIds([file], texts);
    const tokenizer = loadTokenizer({ kind: 'gguf', file });
    t.true(texts.length >= 18);
    for (const [i, text] of texts.entries()) {
      t.deepEqual(theirs![i], [...tokenizer.encode(text)], JSON.stringify(text));
    }
  });
}

test('llama.cpp does by every name of a pre-tokenizer what we do', async (t) => {
  // Its vocabulary has words that no merge makes.
  const written = await writtenFile('llama3', 'names');
  const folder = join(work, 'pre-tokenizers');
  mkdirSync(folder);
  const names = PRE_TOKENIZERS.flatMap((entry) => entry.names);
  execFileSync('python3', [join(__dirname, 'gguf_pre_tokenizers.py'), written, folder, ...names], {
    env: { ...process.env, PYTHONPATH: process.env.STRUPRUNE_ORACLES },
    stdio: 'pipe', // gguf-py shows how far it is
  });
  const files = names.map((name) => join(folder, `${name}.gguf`));
  const texts = expectedOf('llama3').texts.filter((text) => text === text.normalize('NFC'));
  const theirs = llamaIds(files, texts);
  for (const [at, file] of files.entries()) {
    const tokenizer = loadTokenizer({ kind: 'gguf', file });
    for (const [i, text] of texts.entries()) {
      const about = `${names[at]}: ${JSON.stringify(text)}`;
      t.deepEqual(theirs[at]![i], [...tokenizer.encode(text)], about);
    }
  }
});
