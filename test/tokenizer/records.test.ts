import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { embeddedModel, evaluate } from '../../lib';
import { tokenize } from '../../lib/tokenizer';
import { chatRenderer, type Message } from '../../lib/tokenizer/chat';
import { isRecords, readRecords } from '../../lib/tokenizer/records';
import { readText } from '../../lib/tokenizer/text';
import { loadTokenizer, readTokenizerFiles } from '../../lib/tokenizer/tokenizer';
import type { TokenizerFiles } from '../../lib/tokenizer/types';

let folder: string;
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'struprune-records-'));
});
test.after.always(() => rm(folder, { recursive: true, force: true }));

let files = 0;
async function jsonl(...lines: unknown[]): Promise<string> {
  const path = join(folder, `${files++}.jsonl`);
  const text = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line)));
  await writeFile(path, `${text.join('\n')}\n`);
  return path;
}

function filesWith(template?: string, tokens: Record<string, string> = {}): TokenizerFiles {
  const known = readTokenizerFiles({ kind: 'folder', folder: embeddedModel() });
  const tokenizerConfig = { ...known.tokenizerConfig, chat_template: template ?? null };
  return { ...known, tokenizerConfig, specialTokensMap: tokens };
}

/** Made by transformers: scripts/oracles/make-chat-fixtures.py. */
const { tokens, cases } = JSON.parse(
  readFileSync(join(__dirname, 'fixtures/chat.json'), 'utf8'),
) as {
  tokens: Record<string, string>;
  cases: { name: string; template: string; messages: Message[]; text: string; asked: string }[];
};
for (const [index, { name, template, messages, text, asked }] of cases.entries()) {
  test(`chat template ${name}, conversation ${index}: as transformers renders it`, (t) => {
    const files = filesWith(template, tokens);
    t.is(chatRenderer(files)(messages), text);
    t.is(chatRenderer(files, { answer: true })(messages), asked);
  });
}

test('no template has the date of today', (t) => {
  const dated = "{{ strftime_now('%Y') if strftime_now is defined else 'no date' }}";
  t.is(chatRenderer(filesWith(dated))([]), 'no date');
});

test('records of every kind, one after the other', async (t) => {
  const user = { role: 'user', content: 'Hi' };
  const assistant = { role: 'assistant', content: 'Ho' };
  const path = await jsonl(
    { text: 'Prose,\nof two lines.', source: 'x' },
    '',
    { messages: [user, assistant] },
    { prompt: 'One and ', completion: 'two.' },
    { prompt: [user], completion: [assistant] },
  );
  const chat = () => (messages: readonly Message[]) =>
    messages.map(({ role, content }) => `<${role}>${content}`).join('');
  const texts = [...readRecords(path, chat)];
  const talk = '<user>Hi<assistant>Ho';
  t.deepEqual(texts, ['Prose,\nof two lines.\n\n', talk, 'One and two.\n\n', talk]);
});

test('long lines come whole, whatever blocks the file is read in', async (t) => {
  const long = 'ä'.repeat(100_000);
  const path = await jsonl({ text: long }, { text: 'end' });
  const texts = [...readRecords(path, () => t.fail() as never)];
  t.deepEqual(texts, [`${long}\n\n`, 'end\n\n']);
});

test('by the name of the file', (t) => {
  t.deepEqual(['a.jsonl', 'A.JSONL', 'a.ndjson', 'a.json', 'a.txt'].map(isRecords), [
    ...[true, true, true, false, false],
  ]);
});

const WRONG: [what: string, line: unknown, message: RegExp][] = [
  ['no known key', { content: 'x' }, /line 2: has none of text, messages, and prompt with/],
  ['a prompt alone', { prompt: 'x' }, /line 2: has none of text.*prose in a file that/],
  ['no conversation', { messages: [{ content: 'x' }] }, /line 2: has none of/],
  ['a list', [1], /line 2: has none of/],
  ['prose', 'Once upon a time', /line 2 is no JSON; give a JSON object a line/],
];
for (const [what, line, message] of WRONG) {
  test(`${what} is refused with its line`, async (t) => {
    const path = await jsonl({ text: 'fine' }, line);
    t.throws(() => [...readRecords(path, () => t.fail() as never)], { code: 'ERR_TEXT', message });
  });
}

test('one JSON document is no text', (t) => {
  const path = join(folder, 'list.json');
  writeFileSync(path, '[{ "text": "one" }]');
  t.throws(() => [...readText(path)], {
    code: 'ERR_TEXT',
    message: /list\.json is JSON, which is no prose; give its records as \.jsonl/,
  });
});

test('messages without a template, and those that it refuses', async (t) => {
  const path = await jsonl({ messages: [{ role: 'user', content: 'x' }] });
  t.throws(() => [...readRecords(path, () => chatRenderer(filesWith()))], {
    code: 'ERR_TOKENIZER',
    message: /the model has no chat template, which messages need; give records with text/,
  });
  t.throws(() => chatRenderer(filesWith(), { answer: true }), { message: /generate --prompt/ });
  const strict = "{{ raise_exception('roles must alternate') }}";
  t.throws(() => [...readRecords(path, () => chatRenderer(filesWith(strict)))], {
    code: 'ERR_TEXT',
    message: /line 1: the chat template refuses the messages: .*roles must alternate/,
  });
});

test('a file of records gives the ids of its texts, wherever a text is read', async (t) => {
  const texts = ['It was a fine day. '.repeat(40), 'And then it rained. '.repeat(40)];
  const path = await jsonl(...texts.map((text) => ({ text })));
  const source = { kind: 'folder', folder: embeddedModel() } as const;
  const ids = await tokenize(source, path);
  t.deepEqual(ids, loadTokenizer(source).encode(texts.map((text) => `${text}\n\n`).join('')));
  const { tokens: measured } = await evaluate(embeddedModel(), { text: path, window: 64 });
  t.is(measured, Math.floor(ids.length / 64) * 64);
});
