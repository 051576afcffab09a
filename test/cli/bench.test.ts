import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { benchSchema } from '../../lib/documents/bench';
import { sampleDocument } from '../report/sample';
import { runHere } from './here';
import { CALIBRATION, EVALUATION, run, scratch, TINY } from './run';

const SMALL = [
  ...['--window', '128', '--calibration-tokens', '512', '--survey-tokens', '256'],
  ...['--eval-tokens', '512', '--sparsities', '0.2,0.4', '--methods', 'magnitude-l2,flap'],
];

test('bench quality: a table, then JSON alone from the same journal', async (t) => {
  const output = await scratch(t);
  const args = [
    'bench',
    'quality',
    TINY,
    '-o',
    output,
    ...SMALL,
    '--eval',
    EVALUATION,
    CALIBRATION,
  ];
  const table = await run(args);
  t.is(table.code, 0, table.stderr);
  t.regex(table.stdout, /^ *removed +method +evaluation\.txt +KL +top-1 +calibration\.txt/m);
  t.regex(table.stdout, /^ +dense +\d+\.\d{3} +\d+\.\d{3} +[\d,]+ /m);
  t.is(table.stdout.match(/^ *\d+\.\d % +(magnitude|FLAP)/gm)?.length, 4);
  t.regex(table.stderr, /overlap/);

  const json = await runHere([...args, '--json']);
  t.is(json.code, 0, json.stderr);
  const document = benchSchema.parse(JSON.parse(json.stdout));
  const written = benchSchema.parse(
    JSON.parse(await readFile(join(output, 'quality.json'), 'utf8')),
  );
  t.deepEqual(document, written);
  t.is(document.quality!.rows.length, 4);
  // The command is one that the program understands, and finds everything done.
  const [, , ...words] = document.command.split(' ');
  const again = await runHere([...words, '--json']);
  t.is(again.code, 0, again.stderr);
  t.deepEqual(benchSchema.parse(JSON.parse(again.stdout)).quality, document.quality);
});

test('bench quality, stopped by Ctrl-C: a report of what there is, and where it lies', async (t) => {
  const output = await scratch(t);
  const long = ['--methods', 'magnitude-l2,struprune-uniform', '--calibration-tokens', '16384'];
  let stopped = false;
  const { code, stdout, stderr } = await run(
    ['bench', 'quality', TINY, '-o', output, ...SMALL, ...long],
    {
      onStderr: (text, child) => {
        if (stopped || !/row [34] of 4/.test(text)) return;
        stopped = true;
        child.kill('SIGINT');
      },
    },
  );
  t.is(code, 130, stderr);
  t.is(stdout, '');
  t.true(
    stderr.includes(`what there is so far: ${join(output, 'quality.html')}; the same command`),
  );
  const early = benchSchema.parse(JSON.parse(await readFile(join(output, 'quality.json'), 'utf8')));
  t.true([2, 3].includes(early.quality!.rows.length));
  t.is((await runHere(['bench', 'report', output])).code, 0);
});

test('bench alone: a folder of its own, whose other results it throws away when told so', async (t) => {
  const output = await scratch(t);
  const rows = join(output, 'rows.jsonl');
  await writeFile(rows, '{"format":"struprune-bench-journal 1","key":"of another version"}\n');
  const refused = await runHere(['bench', '-o', output]);
  t.is(refused.code, 4);
  t.regex(refused.stderr, /another folder with --output, or --force/);
  const { code, stdout, stderr } = await run(['bench', '--json', '--force', '-o', output]);
  t.is(code, 0, stderr);
  const { quality } = benchSchema.parse(JSON.parse(stdout));
  t.is(quality!.rows.length, 5);
  t.regex(await readFile(rows, 'utf8'), /"row"/);
  // A flag behind a further word is that command's.
  const args = ['bench', 'quality', TINY, '--methods', 'wanda', '-o', output];
  t.regex((await runHere(args)).stderr, /no method 'wanda'/);
});

test('what cannot be written, read or used as scratch is said before the work', async (t) => {
  const folder = await scratch(t);
  const file = join(folder, 'file');
  await writeFile(file, '');
  const cases: [args: string[], code: number, message: RegExp][] = [
    [['kernels', TINY, '-o', file], 4, /a part of the path is a file.*ERR_OUTPUT/],
    [['peers', TINY, '-o', file], 4, /a part of the path is a file.*ERR_OUTPUT/],
    [['memory', TINY, '-o', folder, '--calibration', file + 1], 3, /text .*1.*ERR_NOT_FOUND/],
    [['memory', TINY, '-o', folder, '--calibration', folder], 3, /is a folder.*ERR_TEXT/],
    [
      ['quality', TINY, '-o', folder, '--scratch', file + 1, ...SMALL],
      4,
      /no folder .*1 for scratch.*ERR_SCRATCH/,
    ],
  ];
  for (const [args, code, message] of cases) {
    const finished = await runHere(['bench', ...args]);
    t.is(finished.code, code, finished.stderr);
    t.regex(finished.stderr, message);
  }
});

test('wrong lists are refused', async (t) => {
  for (const [flag, value] of [
    ['--sparsities', '0.2,1'],
    ['--sparsities', ''],
    ['--sparsities', '0'],
    ['--methods', 'wanda'],
  ]) {
    const { code, stderr } = await runHere(['bench', 'quality', TINY, flag!, value!]);
    t.is(code, 2, `${flag} ${value}: ${stderr}`);
  }
});

test('bench report: one page of what is in a folder', async (t) => {
  const folder = await scratch(t);
  const { quality, kernels, ...about } = sampleDocument();
  const parts = { quality: { ...about, quality }, kernels: { ...about, kernels } };
  for (const [name, whole] of Object.entries(parts)) {
    const part = {
      ...whole,
      speed: undefined,
      peers: undefined,
      memory: undefined,
      masks: undefined,
    };
    await writeFile(join(folder, `${name}.json`), JSON.stringify(part));
  }
  const { code, stdout, stderr } = await runHere(['bench', 'report', folder]);
  t.is(code, 0, stderr);
  t.is(stdout, `${join(folder, 'report.html')}\n`);
  const html = await readFile(join(folder, 'report.html'), 'utf8');
  for (const id of ['quality', 'kernels']) t.true(html.includes(`<section id="${id}"`), id);

  const twice = await runHere(['bench', 'report', folder, join(folder, 'kernels.json')]);
  t.is(twice.code, 2);
  t.regex(twice.stderr, /2 of the documents have a section 'kernels'/);
  const nothing = await runHere(['bench', 'report', await scratch(t)]);
  t.is(nothing.code, 3);
  t.regex(nothing.stderr, /has no document of a benchmark; run one with -o/);
});

test('bench speed says how to get a runtime that is not where it was said to be', async (t) => {
  const args = ['bench', 'speed', 'a.gguf', 'b.gguf', '--runtime', await scratch(t)];
  const { code, stderr } = await runHere(args);
  t.is(code, 3);
  t.regex(stderr, /npm install --prefix llama .* \[ERR_NOT_FOUND\]/);
});
