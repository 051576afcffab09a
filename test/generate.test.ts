/** What models write, as transformers has it (scripts/oracles/make-model-fixtures.py). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { evaluate } from '../lib/evaluate';
import { generate } from '../lib/generate';
import { workspace } from './e2e/models';

const work = workspace();
test.after.always(() => work.remove());

const TINY = join(__dirname, '../assets/tiny');

for (const name of ['llama3', 'qwen3', 'opt-pre']) {
  test(`greedy tokens: ${name}`, async (t) => {
    const path = join(__dirname, 'fixtures/models', name, 'expected.json');
    const { greedy } = JSON.parse(readFileSync(path, 'utf8'));
    const prompt = readFileSync(work.textOf(greedy.prompt), 'utf8');
    const maxTokens = greedy.continuation.length;
    const written = await generate(work.symbolModel(name), { prompt, maxTokens, threads: 1 });
    t.deepEqual(written.tokens, greedy.continuation);
    t.is(written.promptTokens, greedy.prompt.length);
    // Symbols without a decoder stand apart.
    t.is(written.text, [...readFileSync(work.textOf(greedy.continuation), 'utf8')].join(' '));
  });
}

test('a model without a chat template is asked in no chat; nothing goes beyond its positions', async (t) => {
  const more = { prompt: 'Who are you?', threads: 1 };
  await t.throwsAsync(generate(TINY, { ...more, chat: true }), {
    code: 'ERR_TOKENIZER',
    message: /no chat template/,
  });
  await t.throwsAsync(generate(TINY, { ...more, maxTokens: 512 }), {
    code: 'ERR_ARGUMENT',
    message: /a prompt of \d+ tokens and 512 more are longer than the model's 512 positions/,
  });
  // Of 512 those at which queries do not grow yet.
  const ministral = work.symbolModel('ministral3');
  await t.throwsAsync(generate(ministral, { prompt: '\u4e05', maxTokens: 64, threads: 1 }), {
    message: /longer than the model's 64 positions/,
  });
  await t.throwsAsync(evaluate(ministral, { text: new Int32Array(130), window: 65 }), {
    code: 'ERR_ARGUMENT',
    message: /window 65 is longer than the model's 64 positions; choose window 64 or less/,
  });
});
