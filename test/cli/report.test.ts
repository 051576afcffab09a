/** `prune --report` as a user runs it. */
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { fakeRuntime } from '../bench/fake-runtime';
import { numbersOf, tableOf } from '../report/page';
import { soundPage } from '../report/sound';
import { runHere } from './here';
import { CALIBRATION, EVALUATION, quickPrune, ROOT, run, scratch } from './run';

const evaluated = ['--eval', EVALUATION, '--eval-tokens', '256'];

test('without a name: report.html in the folder, with the numbers of the JSON', async (t) => {
  const output = join(await scratch(t), 'small');
  const admm = ['--mask', 'admm', '--allocation', 'uniform', '--scope', 'all'];
  const { code, stdout, stderr } = await run(
    quickPrune(output, ...admm, ...evaluated, '--json', '--report'),
  );
  t.is(code, 0, stderr);
  const result = JSON.parse(stdout);
  const page = await readFile(join(output, 'report.html'), 'utf8');
  soundPage(t, page);
  const widths = numbersOf(page, 'widths-table');
  t.deepEqual(
    widths.map(([, values]) => [values[1], values[4]]),
    result.layers.map((layer: { ffnAfter: number; kvHeadsAfter: number }) => [
      layer.ffnAfter,
      layer.kvHeadsAfter,
    ]),
  );
  for (const value of [result.perplexityBefore, result.perplexityAfter, result.bytesAfter]) {
    t.true(page.includes(`<data value="${value}">`), String(value));
  }
  t.is(numbersOf(page, 'admm-sites').length, 12);
  t.regex(page, /npx struprune-native prune [^<]*--mask admm[^<]*--report/);
  const settings = tableOf(page, 'settings-table').map((cells) => cells.map(({ text }) => text));
  t.like(Object.fromEntries(settings), {
    allocation: 'uniform',
    alpha: '0.5',
    beta: '0.5',
    device: result.device,
    dtype: 'f16',
    evalWindow: '128',
    memory: 'not set',
    multiple: '8',
    threads: String(result.settings.threads),
  });
});

test('beside a .gguf file, or where it is told; its place is printed', async (t) => {
  const folder = await scratch(t);
  const quick = ['--method', 'magnitude-l2', '--format', 'gguf', '--no-samples'];
  const one = await runHere(quickPrune(join(folder, 'small.gguf'), ...quick, '--report'));
  t.is(one.code, 0, one.stderr);
  t.true(one.stdout.includes(`report: ${join(folder, 'small.report.html')}`));
  const named = join(folder, 'deep', 'mine.html');
  const two = await runHere(quickPrune(join(folder, 'two.gguf'), ...quick, '--report', named));
  t.is(two.code, 0, two.stderr);
  t.true(existsSync(named));
  t.deepEqual((await readdir(folder)).sort(), [
    'deep',
    'small.gguf',
    'small.report.html',
    'two.gguf',
  ]);
});

test('--speed: a table, a part of the JSON, a section of the report', async (t) => {
  const folder = await scratch(t);
  const quick = ['--method', 'magnitude-l2', '--no-samples'];
  const output = join(folder, 'small.gguf');
  const runtime = fakeRuntime(await scratch(t));
  const one = await runHere(quickPrune(output, ...quick, '--report', '--speed', runtime, '--json'));
  t.is(one.code, 0, one.stderr);
  const { speed, sparsity } = JSON.parse(one.stdout);
  t.true(sparsity > 0.2);
  t.deepEqual(
    speed.runs.map(({ runtime }: { runtime: string }) => runtime.split(' ')[0]),
    ['node-llama-cpp', 'struprune-native'],
  );
  const page = await readFile(join(folder, 'small.report.html'), 'utf8');
  soundPage(t, page);
  const [dense] = numbersOf(page, 'speed-0-generation-table');
  t.is(dense![1][0], speed.runs[0].generation.dense.median);

  const two = await runHere(quickPrune(join(folder, 'two'), ...quick, '--speed', runtime));
  t.is(two.code, 0, two.stderr);
  t.regex(
    two.stdout,
    /parameters [\s\S]*removed work allows[\s\S]*note: llama\.cpp was left out: it reads GGUF/,
  );

  const wrong = await runHere(quickPrune(join(folder, 'three'), ...quick, '--speed', folder));
  t.is(wrong.code, 3);
  t.regex(wrong.stderr, /node-llama-cpp is not in .* \[ERR_NOT_FOUND\]/);
  t.false(existsSync(join(folder, 'three')));
});

test('a report that could not be written is refused before any work', async (t) => {
  const folder = await scratch(t);
  const quick = ['--method', 'magnitude-l2'];
  const output = join(folder, 'small');
  const other = await runHere(
    quickPrune(output, ...quick, '--report', join(output, 'config.json')),
  );
  t.is(other.code, 2);
  t.regex(other.stderr, /config\.json would not be an \.html file; .* \[ERR_ARGUMENT\]/);
  const taken = join(folder, 'taken.html');
  await writeFile(taken, 'mine');
  const refused = await runHere(quickPrune(output, ...quick, '--report', taken));
  t.is(refused.code, 4);
  t.regex(refused.stderr, /taken\.html exists already; .*--force.* \[ERR_OUTPUT\]/);
  t.is(await readFile(taken, 'utf8'), 'mine');
  await mkdir(join(folder, 'folder.html'));
  const isFolder = join(folder, 'folder.html');
  const third = await runHere(quickPrune(output, ...quick, '--force', '--report', isFolder));
  t.is(third.code, 4);
  t.false(existsSync(output));
});

test("a report in the place of the run's other files is refused before any work", async (t) => {
  const folder = await scratch(t);
  const output = join(folder, 'small.html');
  const one = join(folder, 'one.html');
  const journal = join(`${output}.struprune-journal`, 'report.html');
  for (const [message, ...flags] of [
    [/both .*one\.html/, '--report', one, '--save-calibration', one],
    [/--report .* lies in the output/, '--report', output],
    [/--report .* lies in the journal/, '--report', journal],
  ] as const) {
    const { code, stderr } = await runHere(quickPrune(output, ...flags));
    t.is(code, 2, stderr);
    t.regex(stderr, message);
  }
  t.deepEqual(await readdir(folder), []);
});

test('a report that fails at the end leaves the result on stdout', async (t) => {
  const folder = await scratch(t);
  const report = join(folder, 'report.html');
  const output = join(folder, 'small');
  // Takes the path with the run's first line, when it was found free.
  const preload = join(folder, 'preload.cjs');
  await writeFile(
    preload,
    `const { write } = process.stderr;
    process.stderr.write = (...args) => {
      process.stderr.write = write;
      require('node:fs').writeFileSync(${JSON.stringify(report)}, 'mine');
      return process.stderr.write(...args);
    };`,
  );
  const quick = ['--method', 'magnitude-l2', '--json', '--report', report];
  const { code, stdout, stderr } = await run(quickPrune(output, ...quick), {
    env: { NODE_OPTIONS: `--require ${preload}` },
  });
  t.is(code, 4, stderr);
  t.regex(stderr, /^error: .*report\.html exists already; .* \[ERR_OUTPUT\]$/m);
  t.is(JSON.parse(stdout).output, output);
  t.is(await readFile(report, 'utf8'), 'mine');
});

test('a report never takes the place of a text', async (t) => {
  const folder = await scratch(t);
  const text = join(folder, 'text.html');
  await copyFile(CALIBRATION, text);
  const more = ['--calibration', text, '--report', text, '--force'];
  const { code, stderr } = await runHere(quickPrune(join(folder, 'small'), ...more));
  t.is(code, 4);
  t.regex(stderr, /--report .*text\.html is --calibration .*; give another path \[ERR_OUTPUT\]/);
  t.deepEqual(await readFile(text), await readFile(CALIBRATION));
});

test('tokens that experts were routed: a line for people, a section of the report', async (t) => {
  const output = join(await scratch(t), 'small');
  const model = join(ROOT, 'assets', 'tiny-moe');
  const size = ['--sparsity', '0.1', '--calibration-tokens', '512', '--window', '128'];
  const asked = ['--calibration', CALIBRATION, '--method', 'reap', '--no-samples', '--report'];
  const { code, stdout, stderr } = await runHere(['prune', model, '-o', output, ...size, ...asked]);
  t.is(code, 0, stderr);
  const page = await readFile(join(output, 'report.html'), 'utf8');
  soundPage(t, page);
  const blocks = numbersOf(page, 'expert-tokens-table').map(([, values]) => values as number[]);
  t.is(blocks.length, 4);
  t.true(blocks.every(([experts]) => experts === 16));
  const [least, most] = [Math.min, Math.max].map((of, i) =>
    of(...blocks.map((b) => b[1 + 2 * i]!)),
  );
  // Of 512 tokens each passes 4 of 16 experts.
  t.true(least! < 128 && most! > 128);
  t.regex(
    stdout,
    new RegExp(
      `^of its tokens an expert was routed at least ${least}, at the median [\\d.]+, at most ${most} \\(64 experts\\)$`,
      'm',
    ),
  );
});
