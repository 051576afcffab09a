/** Tables of README and docs are what was measured: scripts/measure/tables.js. */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import test from 'ava';

const { PAGES, withTables } = require('../../scripts/measure/tables.js') as {
  PAGES: string[];
  withTables(page: string): string;
};

test('the tables of every page are those that `npm run measure -- tables` writes', (t) => {
  for (const path of PAGES) {
    const page = readFileSync(path, 'utf8');
    t.is(withTables(page), page, basename(path));
  }
  t.true(PAGES.some((path) => readFileSync(path, 'utf8').includes('<!-- measured {')));
});

test('a table has a row a method, or across a column, and is empty where nothing was measured', (t) => {
  const spec = { show: 'perplexity', shares: [0.2, 0.99], rows: { 'smollm2/dense': 'dense' } };
  const page = (more: object) =>
    `<!-- measured ${JSON.stringify({ ...spec, ...more })} -->\n<!-- end -->\n`;
  const lines = withTables(page({})).split('\n');
  t.is(lines[1], '| | 20 % | 99 % |');
  t.regex(lines[3]!, /^\| dense \| [\d.]+ \/ [\d.]+/);
  const across = withTables(page({ across: true, rows: { 'smollm2/no-method': '**none**' } }));
  t.deepEqual(across.split('\n').slice(1, -2), [
    '| | **none** |',
    '|---|---|',
    '| 20 % | |',
    '| 99 % | |',
  ]);
});
