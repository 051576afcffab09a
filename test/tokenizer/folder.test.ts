/** Tokenizer folders other than a plain tokenizer.json. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test from 'ava';
import type { StruPruneError } from '../../lib/errors';
import {
  ggufMetadataFromTokenizer,
  loadTokenizer,
  readTokenizerFiles,
  type TokenizerJson,
} from '../../lib/tokenizer';
import { TEMPLATES } from '../../lib/tokenizer/folder';

const root = mkdtempSync(join(tmpdir(), 'struprune-folder-'));
test.after.always(() => rmSync(root, { recursive: true }));

const FIXTURE = join(__dirname, 'fixtures', 'gpt2');
const fixture = JSON.parse(readFileSync(join(FIXTURE, 'tokenizer.json'), 'utf8')) as TokenizerJson;
const expected = JSON.parse(readFileSync(join(FIXTURE, 'expected.json'), 'utf8')) as {
  texts: string[];
  ids: number[][];
};

function folder(name: string, files: Record<string, unknown>): string {
  const path = join(root, name);
  mkdirSync(path);
  for (const [file, content] of Object.entries(files)) {
    mkdirSync(dirname(join(path, file)), { recursive: true });
    writeFileSync(
      join(path, file),
      typeof content === 'string' ? content : JSON.stringify(content),
    );
  }
  return path;
}

test("vocab.json and merges.txt, as OPT's folders have them", (t) => {
  const merges = fixture.model.merges.map((merge) => (merge as string[]).join(' '));
  const path = folder('opt', {
    'vocab.json': fixture.model.vocab,
    'merges.txt': `#version: 0.2\n${merges.join('\n')}\n`,
    'special_tokens_map.json': {
      bos_token: { content: '<s>' },
      eos_token: '</s>',
      pad_token: '<pad>',
    },
  });
  const tokenizer = loadTokenizer({ kind: 'folder', folder: path });
  for (const [i, text] of expected.texts.entries()) {
    if (/<extra>|<\|end\|>/.test(text)) continue; // tokens that the fixture adds
    t.deepEqual(Array.from(tokenizer.encode(text)), expected.ids[i], JSON.stringify(text));
  }
  t.is(tokenizer.bosTokenId, fixture.model.vocab['<s>']!);
  t.is(tokenizer.eosTokenId, fixture.model.vocab['</s>']!);
});

test('tokens that only tokenizer_config.json lists, and a template in a file of its own', (t) => {
  const { added_tokens, ...rest } = fixture;
  const extra = added_tokens.filter(
    ({ content }) => content === '<extra>' || content === '<|end|>',
  );
  const path = folder('config', {
    'tokenizer.json': {
      ...rest,
      added_tokens: added_tokens.filter((token) => !extra.includes(token)),
    },
    'tokenizer_config.json': {
      added_tokens_decoder: Object.fromEntries(extra.map(({ id, ...token }) => [id, token])),
    },
    'chat_template.jinja': '{{ x }}',
  });
  const tokenizer = loadTokenizer({ kind: 'folder', folder: path });
  const at = expected.texts.findIndex((text) => text.includes('<extra>'));
  t.deepEqual(Array.from(tokenizer.encode(expected.texts[at]!)), expected.ids[at]!);
  t.is(
    readTokenizerFiles({ kind: 'folder', folder: path }).tokenizerConfig.chat_template,
    '{{ x }}',
  );
  t.is(tokenizer.bosTokenId, null);
});

test('what would give other ids than Rust is refused by name', (t) => {
  const split = (regex: string) => ({
    type: 'Split',
    pattern: { Regex: regex },
    behavior: 'Isolated',
    invert: false,
  });
  const doubling = { type: 'Replace', pattern: { String: 'e' }, content: 'ee' };
  const plain = {
    ...{ id: 522, single_word: false, lstrip: false, rstrip: false },
    ...{ normalized: true, special: false },
  };
  const bomb = { type: 'Sequence', normalizers: Array(28).fill(doubling) };
  const cases: [string, Partial<TokenizerJson>, RegExp][] = [
    ['unigram', { model: { ...fixture.model, type: 'Unigram' } }, /Unigram/],
    ['bert', { pre_tokenizer: { type: 'BertPreTokenizer' } }, /BertPreTokenizer/],
    ['lowercase', { normalizer: { type: 'Lowercase' } }, /Lowercase/],
    ['suffix', { model: { ...fixture.model, end_of_word_suffix: '</w>' } }, /suffixes/],
    ['compatibility', { normalizer: { type: 'NFKC' } }, /NFKC/],
    ['bomb', { normalizer: bomb }, /64 times as long/],
    ['lines', { pre_tokenizer: split('^a') }, /\^ at 1/],
    ['catastrophe', { pre_tokenizer: split('(a+)+b') }, /\+ at 5/],
    ['nothing', { pre_tokenizer: split('a*') }, /the empty text/],
    [
      'taken away',
      {
        normalizer: { type: 'Replace', pattern: { Regex: '\\s+' }, content: '' },
        added_tokens: [...(fixture.added_tokens ?? []), { ...plain, content: ' ' }],
      },
      /the normalizer leaves nothing/,
    ],
  ];
  for (const [name, change, message] of cases) {
    const path = folder(name, { 'tokenizer.json': { ...fixture, ...change } });
    const error = t.throws(() => loadTokenizer({ kind: 'folder', folder: path }), undefined, name);
    t.like(error, { code: 'ERR_UNSUPPORTED' });
    t.regex(error.message, message);
  }
});

test('no tokenizer, or one that is not JSON', (t) => {
  const none = t.throws(() => loadTokenizer({ kind: 'folder', folder: folder('none', {}) }));
  t.like(none, { code: 'ERR_NOT_FOUND' });
  const cut = folder('cut', { 'tokenizer.json': '{"model": ' });
  t.like(
    t.throws(() => loadTokenizer({ kind: 'folder', folder: cut })),
    { code: 'ERR_TOKENIZER' },
  );
});

test('parts of a tokenizer that are something else than they must be are named', (t) => {
  const token = { ...fixture.added_tokens[0]! };
  const sequence = (part: unknown) => ({ type: 'Sequence', decoders: [part] });
  const json: [string, object][] = [
    ['model\\.vocab', { model: { ...fixture.model, vocab: null } }],
    ['model\\.vocab', { model: { ...fixture.model, vocab: { a: 'x' } } }],
    ['model\\.vocab', { model: { ...fixture.model, vocab: { a: -1 } } }],
    ['model\\.merges', { model: { ...fixture.model, merges: [null] } }],
    ['model\\.merges', { model: { ...fixture.model, merges: [['a', 'b', 'c']] } }],
    ['added_tokens', { added_tokens: 5 }],
    ['added_tokens', { added_tokens: [null] }],
    ['added_tokens', { added_tokens: [{ ...token, content: 0 }] }],
    ['added_tokens', { added_tokens: [{ ...token, id: 1.5 }] }],
    ['pre_tokenizer', { pre_tokenizer: { type: 'Split', pattern: { Regex: 5 } } }],
    ['decoder', { decoder: sequence(null) }],
    ['decoder', { decoder: sequence({ type: 7 }) }],
  ];
  let deep: object = { type: 'NFC' };
  for (let i = 0; i < 2000; i++) deep = { type: 'Sequence', normalizers: [deep] };
  const config: [string, object][] = [
    ['chat_template', { chat_template: 5 }],
    ['chat_template', { chat_template: [null] }],
    ['added_tokens_decoder', { added_tokens_decoder: [null] }],
    ['added_tokens_decoder', { added_tokens_decoder: { x: { content: 'a' } } }],
    ['add_bos_token', { add_bos_token: 'true' }],
    ['add_eos_token', { add_eos_token: 1 }],
  ];
  const cases = [
    ...json.map(([part, edit]) => [part, { 'tokenizer.json': { ...fixture, ...edit } }] as const),
    ...config.map(
      ([part, edit]) =>
        [part, { 'tokenizer.json': fixture, 'tokenizer_config.json': edit }] as const,
    ),
    ['not a JSON object', { 'tokenizer.json': fixture, 'tokenizer_config.json': [] }] as const,
    ['not a JSON object', { 'tokenizer.json': 'null' }] as const,
    [
      'nested deeper than 128 levels',
      { 'tokenizer.json': `{"a":${'['.repeat(1e5)}${']'.repeat(1e5)}}` },
    ] as const,
    [
      'nested deeper than 128 levels',
      { 'tokenizer.json': { ...fixture, normalizer: deep } },
    ] as const,
    [
      'chat_template.jinja is not a regular file',
      { 'tokenizer.json': fixture, 'chat_template.jinja/a': '' },
    ] as const,
    [
      'b.jinja is not a regular file',
      { 'tokenizer.json': fixture, [`${TEMPLATES}/b.jinja/a`]: '' },
    ] as const,
    [`${TEMPLATES} cannot be read`, { 'tokenizer.json': fixture, [TEMPLATES]: '' }] as const,
    [
      'merges.txt is not a regular file',
      { 'vocab.json': fixture.model.vocab, 'merges.txt/a': '' },
    ] as const,
    [
      'added_tokens',
      { 'tokenizer.json': { ...fixture, added_tokens: [{ ...token, content: '\ud800' }] } },
    ] as const,
  ];
  for (const [i, [message, files]] of cases.entries()) {
    const path = folder(`damaged-${i}`, files);
    const error = t.throws(() => readTokenizerFiles({ kind: 'folder', folder: path }));
    const mend = message.endsWith('regular file')
      ? 'put the file itself there'
      : 'get the file again';
    t.like(error, { code: 'ERR_TOKENIZER', mend }, `${i}: ${error.stack}`);
    t.regex(error.message, new RegExp(message));
  }
});

const SENTENCEPIECE = join(__dirname, 'sentencepiece');

test("tokenizer.model gives SentencePiece's ids", (t) => {
  const model = readFileSync(join(SENTENCEPIECE, 'tokenizer.model'));
  const ids = JSON.parse(readFileSync(join(SENTENCEPIECE, 'expected.json'), 'utf8'));
  const texts = Object.entries(ids as Record<string, number[]>);
  t.true(texts.length > 12);
  for (const legacy of [undefined, false]) {
    const path = folder(`sentencepiece-${legacy}`, {
      'tokenizer_config.json': { add_bos_token: false, legacy },
    });
    writeFileSync(join(path, 'tokenizer.model'), model);
    const tokenizer = loadTokenizer({ kind: 'folder', folder: path });
    for (const [text, wanted] of texts) {
      // As transformers has it: the older way puts a space behind added tokens too, the newer one none before a space.
      if (legacy === false ? /^[ ▁]/.test(text) : text.includes('<river>')) continue;
      t.deepEqual([...tokenizer.encode(text)], wanted, JSON.stringify(text));
    }
    t.deepEqual([tokenizer.bosTokenId, tokenizer.eosTokenId, tokenizer.prefixId], [1, 2, null]);
  }
});

test('tokenizer.model puts BOS in front unless told otherwise', (t) => {
  const model = readFileSync(join(SENTENCEPIECE, 'tokenizer.model'));
  for (const config of [{}, { add_bos_token: null }]) {
    const path = folder(`sentencepiece-bos-${Object.keys(config)}`, {
      'tokenizer_config.json': config,
    });
    writeFileSync(join(path, 'tokenizer.model'), model);
    t.is(loadTokenizer({ kind: 'folder', folder: path }).prefixId, 1);
  }
});

test('a tokenizer.model that is damaged or no BPE is refused, and never anything else', (t) => {
  const model = readFileSync(join(SENTENCEPIECE, 'tokenizer.model'));
  const path = folder('sentencepiece-damaged', {});
  const load = (bytes: Uint8Array) => {
    writeFileSync(join(path, 'tokenizer.model'), bytes);
    return () => loadTokenizer({ kind: 'folder', folder: path });
  };
  const damaged = t.throws(load(Buffer.from('protobuf')), { code: 'ERR_TOKENIZER' });
  t.regex(damaged.message, /tokenizer\.model is damaged: /);
  t.throws(load(new Uint8Array()), { code: 'ERR_UNSUPPORTED', message: /is no BPE/ });
  // The last field of a kind counts: a trainer specification behind it that says Unigram.
  const unigram = Buffer.concat([model, Buffer.from([0x12, 2, 0x18, 1])]);
  t.throws(load(unigram), { code: 'ERR_UNSUPPORTED', message: /is no BPE/ });
  const codes = new Map<string, number>();
  for (let seed = 0; seed < 400; seed++) {
    const bytes = Buffer.from(model);
    bytes[(seed * 7919) % bytes.length]! ^= 1 << (seed % 8);
    let code = 'none';
    try {
      load(bytes)();
    } catch (error) {
      ({ code } = error as StruPruneError);
    }
    codes.set(code, (codes.get(code) ?? 0) + 1);
  }
  t.deepEqual([...codes.keys()].sort(), ['ERR_TOKENIZER', 'none'], `${[...codes]}`);
});

test('in a GGUF file: a chat template in a file of its own goes before the configuration, null is none', (t) => {
  const metadata = (name: string, config: object, files: object = {}) => {
    const path = folder(name, {
      'tokenizer.json': fixture,
      'tokenizer_config.json': config,
      ...files,
    });
    const { tokenizerJson, tokenizerConfig } = readTokenizerFiles({ kind: 'folder', folder: path });
    return ggufMetadataFromTokenizer(
      tokenizerJson,
      tokenizerConfig,
      1 + Math.max(...tokenIds(tokenizerJson)),
    );
  };
  const read = (...input: Parameters<typeof metadata>) =>
    metadata(...input)['tokenizer.chat_template']?.value;
  t.is(read('template-null', { chat_template: null }), undefined);
  t.is(read('template', { chat_template: 'old' }), 'old');
  t.is(read('template-file', { chat_template: 'old' }, { 'chat_template.jinja': 'new' }), 'new');
  const list = ['default', 'a', 'b'].map((name) => ({ name, template: `list ${name}` }));
  const both = metadata(
    'template-list',
    { chat_template: list },
    { [`${TEMPLATES}/b.jinja`]: 'file b' },
  );
  t.is(both['tokenizer.chat_template']?.value, 'list default');
  t.is(both['tokenizer.chat_template.a']?.value, 'list a');
  t.is(both['tokenizer.chat_template.b']?.value, 'file b');
  const nulls = metadata('flags-null', { add_bos_token: null, add_eos_token: null });
  t.is(nulls['tokenizer.ggml.add_bos_token']?.value, false);
  t.is(nulls['tokenizer.ggml.add_eos_token'], undefined);
});

function tokenIds({ model, added_tokens }: TokenizerJson): number[] {
  return [...Object.values(model.vocab), ...added_tokens.map(({ id }) => id)];
}
