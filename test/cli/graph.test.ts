/** `prune` of an ONNX graph as a user runs it. */
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { numbersOf } from '../report/page';
import { soundPage } from '../report/sound';
import { runHere } from './here';
import { run, scratch } from './run';

const FIXTURES = join(__dirname, '../fixtures/graph-runs');
const INPUTS = join(FIXTURES, 'depthwise.inputs.safetensors');

const prune = (output: string, ...more: string[]) => [
  ...['prune', join(FIXTURES, 'depthwise.onnx'), '-o', output, '--sparsity', '40%'],
  ...['--calibration', INPUTS, '--threads', '1', ...more],
];

test('JSON on stdout and a report beside the file, with the same numbers', async (t) => {
  const output = join(await scratch(t), 'small.onnx');
  const { code, stdout, stderr } = await run(prune(output, '--eval', INPUTS, '--json', '--report'));
  t.is(code, 0, stderr);
  const { sites, sparsity, evaluation, losses } = JSON.parse(stdout);
  t.true(sparsity >= 0.4 && sparsity < 0.6);
  t.deepEqual(losses, [{ output: 'y', kind: 'KL of probabilities' }]);
  t.is(evaluation.samples, 48);
  const page = await readFile(output.replace(/onnx$/, 'report.html'), 'utf8');
  soundPage(t, page);
  t.deepEqual(
    numbersOf(page, 'site-widths-table').map(([, values]) => values.slice(1, 3)),
    sites.map(({ before, after }: { before: number; after: number }) => [before, after]),
  );
});

test('for people: every site, what stays and why, and which loss it is', async (t) => {
  const output = join(await scratch(t), 'small.onnx');
  const { code, stdout, stderr } = await runHere(prune(output, '--eval', INPUTS));
  t.is(code, 0, stderr);
  t.regex(stdout, /^w1 +8 +\d/m);
  t.regex(stdout, /of the maps' weights removed \(threshold allocation\)/);
  t.regex(stdout, /loss on 48 samples to evaluate on: \S+, the same first choice in [\d.]+ %/);
  t.regex(stdout, /loss of y: KL of probabilities, to the dense graph/);
  t.regex(stdout, /checked: reopened from disk/);
});

test('flags that a graph does not read are refused before work', async (t) => {
  const output = join(await scratch(t), 'small.onnx');
  const { code, stderr } = await runHere(prune(output, '--tune-tokens', '64', '--no-samples'));
  t.is(code, 2);
  t.regex(stderr, /a graph is pruned without --tune-tokens, --samples; leave them out/);
});

test('--scope chooses heads, all other units, or both', async (t) => {
  const folder = join(__dirname, '../fixtures/dynamo');
  const output = join(await scratch(t), 'small.onnx');
  const given = (...more: string[]) => [
    ...['prune', join(folder, 'encoder.onnx'), '-o', output, '--sparsity', '10%', '--json'],
    ...['--calibration', join(folder, 'expected.safetensors'), '--threads', '1', ...more],
  ];
  const sitesIn = async (scope: string) => {
    const { code, stdout, stderr } = await runHere(given('--scope', scope, '--force'));
    t.is(code, 0, stderr);
    const { sites, held } = JSON.parse(stdout);
    return {
      units: sites.map(({ before }: { before: number }) => before),
      outside: held.some(({ reason }: { reason: string }) => reason.startsWith('outside of')),
    };
  };
  t.deepEqual(await sitesIn('all'), { units: [3, 20], outside: false });
  t.deepEqual(await sitesIn('attention'), { units: [3], outside: true });
  t.deepEqual(await sitesIn('ffn'), { units: [20], outside: true });
  const { code, stderr } = await runHere(given('--scope', 'experts', '--force'));
  t.is(code, 3);
  t.regex(stderr, /a graph has no experts/);
});

test('a folder of transformers.js is written as one, with the report in it', async (t) => {
  const around = await scratch(t);
  const [folder, output] = [join(around, 'model'), join(around, 'pruned')];
  await mkdir(join(folder, 'onnx'), { recursive: true });
  await cp(join(FIXTURES, 'depthwise.onnx'), join(folder, 'onnx/model.onnx'));
  await cp(join(FIXTURES, 'depthwise.onnx'), join(folder, 'onnx/model_fp16.onnx'));
  await writeFile(join(folder, 'config.json'), '{}');
  const [, , , , ...flags] = prune(output);
  const { code, stdout, stderr } = await runHere([
    'prune',
    folder,
    '-o',
    output,
    ...flags,
    '--report',
  ]);
  t.is(code, 0, stderr);
  t.regex(stdout, /^note: graphs that were not pruned .*: onnx\/model_fp16.onnx$/m);
  t.deepEqual((await readdir(output)).sort(), [
    ...['.struprune-manifest.json', 'README.md', 'config.json', 'onnx', 'report.html'],
  ]);
  soundPage(t, await readFile(join(output, 'report.html'), 'utf8'));
});
