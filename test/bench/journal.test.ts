import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { z } from 'zod';
import { Journal, keyOf } from '../../lib/bench/journal';
import { StruPruneError } from '../../lib/errors';

const work = mkdtempSync(join(tmpdir(), 'struprune-journal-'));
test.after.always(() => rmSync(work, { recursive: true, force: true }));

const CONDITIONS = { model: 'a', tokens: 8 };
const ROW = z.object({ row: z.number() });

test('entries come back in their order, after a line that was cut off too', async (t) => {
  const path = join(work, 'new', 'rows.jsonl');
  const first = await Journal.open(path, ROW, CONDITIONS, false);
  t.deepEqual(first.entries, []);
  await first.add({ row: 1 });
  await first.add({ row: 2 });
  appendFileSync(path, '{"row": 3, "half');
  const second = await Journal.open(path, ROW, { tokens: 8, model: 'a' }, false);
  t.deepEqual(second.entries, [{ row: 1 }, { row: 2 }]);
  await second.add({ row: 3 });
  const third = await Journal.open(path, ROW, CONDITIONS, false);
  t.deepEqual(third.entries, [{ row: 1 }, { row: 2 }, { row: 3 }]);
});

test('results of other conditions, and other files, are refused or replaced', async (t) => {
  const path = join(work, 'rows.jsonl');
  await (await Journal.open(path, ROW, CONDITIONS, false)).add({ row: 1 });
  const other = { ...CONDITIONS, tokens: 9 };
  const error = await t.throwsAsync(Journal.open(path, ROW, other, false), {
    instanceOf: StruPruneError,
  });
  t.is(error.code, 'ERR_OUTPUT');
  t.regex(error.message, /another model, .* or machine: differs in tokens; .*force: true/);
  t.regex(readFileSync(path, 'utf8'), /"row":1/);
  t.deepEqual((await Journal.open(path, ROW, other, true)).entries, []);

  const foreign = join(work, 'notes.txt');
  writeFileSync(foreign, 'my notes\n');
  await t.throwsAsync(Journal.open(foreign, ROW, CONDITIONS, false), {
    instanceOf: StruPruneError,
  });
  t.is(readFileSync(foreign, 'utf8'), 'my notes\n');
});

test('lines of another version are as if they were not there', async (t) => {
  const path = join(work, 'older.jsonl');
  const first = await Journal.open(path, ROW, CONDITIONS, false);
  await first.add({ row: 1 });
  appendFileSync(path, '{"row": null}\n{"line": 2}\n');
  await first.add({ row: 3 });
  const second = await Journal.open(path, ROW, CONDITIONS, false);
  t.deepEqual(second.entries, [{ row: 1 }, { row: 3 }]);
});

test('a damaged line loses nothing but itself, and is counted', async (t) => {
  const path = join(work, 'damaged.jsonl');
  const first = await Journal.open(path, ROW, CONDITIONS, false);
  for (const row of [1, 2, 3]) await first.add({ row });
  writeFileSync(path, readFileSync(path, 'utf8').replace('{"row":2}', '{"row"~2}'));
  const second = await Journal.open(path, ROW, CONDITIONS, false);
  t.deepEqual(second.entries, [{ row: 1 }, { row: 3 }]);
  t.is(second.damaged, 1);
  await second.add({ row: 2 });
  const third = await Journal.open(path, ROW, CONDITIONS, false);
  t.deepEqual(third.entries, [{ row: 1 }, { row: 3 }, { row: 2 }]);
});

test('conditions inside of others are named by both', async (t) => {
  const path = join(work, 'nested.jsonl');
  const conditions = { machine: { cpu: 'a', threads: 2 }, texts: [1] };
  await Journal.open(path, ROW, conditions, false);
  const other = { machine: { cpu: 'a', threads: 1 }, texts: [2] };
  await t.throwsAsync(Journal.open(path, ROW, other, false), {
    message: /differs in machine\.threads, texts;/,
  });
});

test('a journal that died in its first line begins anew', async (t) => {
  const path = join(work, 'cut.jsonl');
  writeFileSync(path, '{"format":"struprune-bench-jou');
  t.deepEqual((await Journal.open(path, ROW, CONDITIONS, false)).entries, []);
});

test('keys depend on values, not on the order of keys', (t) => {
  t.is(keyOf({ a: 1, b: { c: [1, 2], d: 2 } }), keyOf({ b: { d: 2, c: [1, 2] }, a: 1 }));
  t.not(keyOf({ a: [1, 2] }), keyOf({ a: [2, 1] }));
});
