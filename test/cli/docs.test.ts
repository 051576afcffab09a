/**
 * docs/cli.md, docs/errors.md and README's tables of families against the program. STRUPRUNE_WRITE_DOCS=1 writes the tables
 * and docs/bench.schema.json anew.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import test from 'ava';
import { z } from 'zod';
import { EXIT_CODES } from '../../lib/cli/terminal/exit-codes';
import { benchSchema } from '../../lib/documents/bench';
import { StruPruneError } from '../../lib/errors';
import { flagOf, worded } from '../../lib/wording';
import { FAMILY_TABLE, SEEING_TABLE } from './family-tables';
import { FLAG_TABLES, METHOD_TABLE } from './flag-tables';

const ROOT = resolve(__dirname, '../..');
const read = (...path: string[]) => readFile(join(ROOT, ...path), 'utf8');

const TABLES: [path: string, name: string, table: string][] = [
  ...Object.entries(FLAG_TABLES).map(([command, table]): [string, string, string] => [
    'docs/cli.md',
    `flags of ${command}`,
    table,
  ]),
  ['docs/cli.md', 'methods of bench quality', METHOD_TABLE],
  ['README.md', 'families', FAMILY_TABLE],
  ['README.md', 'models of text and images', SEEING_TABLE],
];
for (const [path, name, table] of TABLES) {
  test.serial(`${path} has the ${name} as they are`, async (t) => {
    const text = await read(path);
    const [start, end] = [`<!-- ${name} -->\n`, `\n<!-- end -->`];
    const from = text.indexOf(start) + start.length;
    const to = text.indexOf(end, from - 1);
    t.true(from >= start.length && to >= from, 'the place of the table is marked');
    if (process.env.STRUPRUNE_WRITE_DOCS) {
      await writeFile(join(ROOT, path), text.slice(0, from) + table + text.slice(to));
    } else {
      t.is(text.slice(from, to), table);
    }
  });
}

test('docs/bench.schema.json is the schema of what bench writes', async (t) => {
  const path = join(ROOT, 'docs', 'bench.schema.json');
  const text = `${JSON.stringify(z.toJSONSchema(benchSchema, { io: 'input' }), null, 2)}\n`;
  if (process.env.STRUPRUNE_WRITE_DOCS) await writeFile(path, text);
  t.is(await readFile(path, 'utf8'), text);
});

test('docs/errors.md has every code with its exit code', async (t) => {
  const rows = [...(await read('docs', 'errors.md')).matchAll(/^\| `(ERR_\w+)` \| (\d+) \|/gm)];
  t.deepEqual(
    Object.fromEntries(rows.map(([, code, exit]) => [code, Number(exit)])),
    EXIT_CODES as Record<string, number>,
  );
});

test('CITATION.cff has the version of the package', async (t) => {
  const { version, license } = JSON.parse(await read('package.json'));
  const text = await read('CITATION.cff');
  t.is(/^version: (.+)$/m.exec(text)?.[1], version);
  t.is(/^license: (.+)$/m.exec(text)?.[1], license);
});

test('no script of package.json runs another by its name; the documents name scripts that there are', async (t) => {
  const { scripts } = JSON.parse(await read('package.json')) as { scripts: Record<string, string> };
  // npm runs "prebuild:cuda" by itself in front of "build:cuda".
  const hooks = Object.keys(scripts).flatMap((name) => [`pre${name}`, `post${name}`]);
  t.deepEqual(
    hooks.filter((name) => name in scripts),
    [],
  );
  const documents = ['README.md', 'packages/cuda/README.md'];
  for (const name of await readdir(join(ROOT, 'docs'))) {
    if (name.endsWith('.md')) documents.push(`docs/${name}`);
  }
  for (const document of documents) {
    for (const [, name] of (await read(document)).matchAll(
      /npm run (?:--silent )?([a-z][\w:-]*)/g,
    )) {
      t.true(name! in scripts, `${document}: npm run ${name}`);
    }
  }
});

test('messages name flags on the command line, and the options that they set in the library', (t) => {
  const rows = Object.values(FLAG_TABLES).flatMap((table) => [
    ...table.matchAll(/^\| `(?:-o, )?(--[\w-]+)( [<[].*?)?` .* `(\w+)` \|$/gm),
  ]);
  t.true(rows.length > 100);
  for (const [row, flag, value, option] of rows) {
    const off = flag!.startsWith('--no-');
    t.is(worded(`leave ${flag} out`), `leave ${option}${value ? '' : `: ${!off}`} out`, row);
    t.is(flagOf(option!), flag!.replace('--no-', '--'), row);
  }
  t.is(worded('run `git --force`, not models--a--b'), 'run `git --force`, not models--a--b');
  t.is(new StruPruneError('ERR_OUTPUT', 'out exists', 'give --force').mend, 'give force: true');
});

test('flags that messages of the library name are flags of the program', async (t) => {
  const known = new Set(
    Object.values(FLAG_TABLES).flatMap((table) => table.match(/--[a-z][a-z-]+/g) ?? []),
  );
  for (const folder of ['lib', 'native']) {
    const names = await readdir(join(ROOT, folder), { recursive: true });
    for (const name of names.filter((file) => /\.(ts|cpp|h)$/.test(file))) {
      // In words: C++ has `--count` as code.
      const found = (await read(folder, name)).matchAll(
        /(?:choose|raise|lower|leave|with|or|and|use|(?<!var)\() ?(--[a-z][a-z-]+)(?![\w-])/g,
      );
      for (const [, flag] of found) t.true(known.has(flag!), `${folder}/${name} names ${flag}`);
    }
  }
});
