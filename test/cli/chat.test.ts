/** A conversation over stdin, and the same by the library. */
import { spawn } from 'node:child_process';
import { cpSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import test from 'ava';
import { answer, generate } from '../../lib';
import { workspace } from '../e2e/models';
import { TINY } from './run';

const PROGRAM = join(resolve(__dirname, '../..'), 'dist', 'lib', 'cli', 'main.js');
const TEMPLATE =
  '{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}' +
  '{% if add_generation_prompt %}assistant:{% endif %}';

const work = workspace();
test.after.always(() => work.remove());

/** The tiny model with a template of its own. */
const model = work.emptyFolder();
cpSync(TINY, model, { recursive: true });
writeFileSync(join(model, 'chat_template.jinja'), TEMPLATE);

const FIRST = 'Who are you?';
const SECOND = 'And the king?';
const LIMITS = { maxTokens: 8, threads: 1 };

/** What is rendered by hand, continued. */
const continued = (prompt: string) => generate(model, { prompt, ...LIMITS });

function chat(path = model) {
  const all = [PROGRAM, 'chat', path, '--max-tokens', '8', '--threads', '1'];
  const child = spawn(process.execPath, all);
  const ended = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    ended.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    ended.stderr += text;
  });
  const exit = new Promise<number | null>((done) => child.on('close', done));
  return { child, ended, exit };
}

test('every answer is made of all messages before it, and told while it grows', async (t) => {
  const texts: string[] = [];
  const messages = [{ role: 'user', content: FIRST }];
  const onText = (text: string) => void texts.push(text);
  const first = await answer(model, messages, { ...LIMITS, onText });
  t.is(first.text, (await continued(`user: ${FIRST}\nassistant:`)).text);
  t.is(texts.at(-1), first.text);
  for (const text of texts) t.true(first.text.startsWith(text), text);

  const reason = new Error('enough');
  const stopped = answer(model, messages, {
    ...LIMITS,
    onText: () => {
      throw reason;
    },
  });
  await t.throwsAsync(stopped, { is: reason });
});

test('lines of stdin are messages until /quit', async (t) => {
  const { child, ended, exit } = chat();
  child.stdin.end(`${FIRST}\n\n${SECOND}\n/quit\nNever read\n`);
  t.is(await exit, 0, ended.stderr);
  const opening = `user: ${FIRST}\nassistant:`;
  const first = (await continued(opening)).text;
  const next = `${opening} ${first}\nuser: ${SECOND}\nassistant:`;
  t.is(ended.stdout, `${first}\n${(await continued(next)).text}\n`);
});

test('a signal ends it, and so does a model without a template', async (t) => {
  const { child, ended, exit } = chat();
  child.stdin.write(`${FIRST}\n`);
  await new Promise((done) => child.stdout.once('data', done));
  child.kill('SIGINT');
  t.is(await exit, 130, ended.stderr);

  const plain = chat(TINY);
  plain.child.stdin.end(`${FIRST}\n`);
  t.is(await plain.exit, 3);
  t.regex(plain.ended.stderr, /no chat template.*\[ERR_TOKENIZER\]/);
});
