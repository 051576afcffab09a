import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { benchSchema } from '../../lib/bench/schema';
import { CALIBRATION, EVALUATION, run, scratch, TINY } from './run';

const SMALL = [
  ...['--window', '128', '--calibration-tokens', '512', '--survey-tokens', '256'],
  ...['--eval-tokens', '512', '--sparsities', '0.2,0.4', '--methods', 'magnitude,flap'],
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

  const json = await run([...args, '--json']);
  t.is(json.code, 0, json.stderr);
  const document = benchSchema.parse(JSON.parse(json.stdout));
  const written = benchSchema.parse(
    JSON.parse(await readFile(join(output, 'quality.json'), 'utf8')),
  );
  t.deepEqual(document, written);
  t.is(document.quality!.rows.length, 4);
  // The command is one that the program understands, and finds everything done.
  const [, , ...words] = document.command.split(' ');
  const again = await run([...words, '--json']);
  t.is(again.code, 0, again.stderr);
  t.deepEqual(benchSchema.parse(JSON.parse(again.stdout)).quality, document.quality);
});

test('wrong lists are refused', async (t) => {
  for (const [flag, value] of [
    ['--sparsities', '0.2,1'],
    ['--sparsities', ''],
    ['--sparsities', '0'],
    ['--methods', 'wanda'],
  ]) {
    const { code, stderr } = await run(['bench', 'quality', TINY, flag!, value!]);
    t.is(code, 2, `${flag} ${value}: ${stderr}`);
  }
});

test('bench speed without its runtime says how to get it', async (t) => {
  const args = ['bench', 'speed', 'a.gguf', 'b.gguf', '--runtime', await scratch(t)];
  const { code, stderr } = await run(args);
  t.is(code, 3);
  t.regex(stderr, /npm install node-llama-cpp@3 \[ERR_NOT_FOUND\]/);
});
