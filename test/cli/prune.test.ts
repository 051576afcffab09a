import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { parseGguf } from '../../lib/checkpoint/container';
import { runHere } from './here';
import { EVALUATION, quickPrune, run, scratch } from './run';

test('--json: the result alone on stdout, and what it says is on the disk', async (t) => {
  const output = join(await scratch(t), 'deep', 'small');
  const evaluation = ['--eval', EVALUATION, '--eval-tokens', '256'];
  const { code, stdout, stderr } = await run(
    quickPrune(output, '--method', 'wanda-sp', ...evaluation, '--json'),
  );
  t.is(code, 0, stderr);
  const result = JSON.parse(stdout);
  t.is(result.output, output);
  t.is(result.samples, null);
  t.like(result, { calibrationTokens: 512, window: 128 });
  t.true(result.parametersAfter < result.parametersBefore);
  t.true(result.sparsity >= 0.25 && result.sparsity < 0.27, String(result.sparsity));
  t.true(result.perplexityAfter > result.perplexityBefore && result.perplexityBefore > 1);
  t.is(result.layers.length, 6);
  for (const [index, layer] of result.layers.entries()) {
    t.is(layer.index, index);
    t.true(layer.ffnAfter < layer.ffnBefore && layer.kvHeadsAfter === layer.kvHeadsBefore);
    t.regex(layer.keptFfnSha256, /^[0-9a-f]{64}$/);
    t.regex(layer.keptKvSha256, /^[0-9a-f]{64}$/);
  }
  t.is(result.layerStats.length, 6);
  t.is((await stat(join(output, 'model.safetensors'))).size, result.bytesAfter);
  const config = JSON.parse(await readFile(join(output, 'config.json'), 'utf8'));
  const card = await readFile(join(output, 'README.md'), 'utf8');
  t.regex(card, /^---\nlicense: apache-2\.0\n/);
  t.regex(card, /^\| calibration \| 512 tokens in 4 windows of 128 \|$/m);
  t.is(config.intermediate_size, result.layers[0].ffnAfter);
});

test('for people: sizes, layers, samples, where it lies and how to load it', async (t) => {
  const output = join(await scratch(t), 'small.gguf');
  const { code, stdout, stderr } = await runHere(
    quickPrune(output, '--method', 'wanda-sp', '--format', 'gguf'),
  );
  t.is(code, 0, stderr);
  t.regex(stdout, /^ +5 {2}FFN channels +512 +\d+ /m);
  t.regex(stdout, /^parameters +1,738,368 +1,\d{3},\d{3} +-\d+\.\d %$/m);
  t.regex(stdout, /^calibrated on 512 tokens in 4 windows of 128$/m);
  t.regex(stdout, /^perplexity +\d+\.\d+ +\d+\.\d+ +×\d\.\d+$/m);
  t.regex(
    stdout,
    /^perplexity measured on 8 windows of the calibration text that calibrated nothing\non windows that calibrated ×\d\.\d{3}$/m,
  );
  t.regex(stdout, /^prompt +"/m);
  t.regex(stdout, /^after +"/m);
  t.true(stdout.includes(`llama-cli -m ${output} -p`));
  t.deepEqual(parseGguf(output).metadata['general.license'], {
    type: 'string',
    value: 'apache-2.0',
  });
});

test('a model that is of little use is warned of, with what to do', async (t) => {
  const output = join(await scratch(t), 'ruined');
  const { code, stdout, stderr } = await runHere(
    quickPrune(output, '--method', 'magnitude-l2', '--sparsity', '70%', '--json'),
  );
  t.is(code, 0, stderr);
  const { perplexityBefore, perplexityAfter, warnings } = JSON.parse(stdout);
  const times = (perplexityAfter / perplexityBefore).toFixed(1);
  t.true(Number(times) > 2);
  t.true(warnings.some((text: string) => text.startsWith(`the perplexity is ${times} times`)));
  t.regex(
    stderr,
    /^warning: the perplexity is .*: remove less, calibrate on more text .*fine-tune/m,
  );
});

test('flags that the method does not read are warned of', async (t) => {
  const output = join(await scratch(t), 'small');
  const idle = ['--method', 'flap', '--fisher-labels', 'sampled', '--no-refit', '--json'];
  const { code, stdout, stderr } = await runHere(quickPrune(output, ...idle));
  t.is(code, 0, stderr);
  t.regex(stderr, /^warning: --no-refit and --fisher-labels have no effect with --method flap$/m);
  t.is(JSON.parse(stdout).warnings.length, 1);
});

test('an output that is there is refused at once, and replaced with --force', async (t) => {
  const folder = await scratch(t);
  const output = join(folder, 'small');
  const quick = ['--method', 'magnitude-l2', '--json'];
  t.is((await runHere(quickPrune(output, ...quick, '--sparsity', '0.1'))).code, 0);
  const earlier = await readFile(join(output, 'config.json'), 'utf8');
  const refused = await runHere(quickPrune(output, ...quick));
  t.is(refused.code, 4);
  t.is(refused.stdout, '');
  t.regex(refused.stderr, /^error: .*small exists already; .*--force.* \[ERR_OUTPUT\]\n$/);
  t.is(await readFile(join(output, 'config.json'), 'utf8'), earlier);
  const replaced = await runHere(quickPrune(output, ...quick, '--force'));
  t.is(replaced.code, 0, replaced.stderr);
  t.is(JSON.parse(replaced.stdout).calibrationTokens, 0, 'magnitude reads no text');
  t.not(await readFile(join(output, 'config.json'), 'utf8'), earlier);
  t.deepEqual(await readdir(folder), ['small']);
  await writeFile(join(output, 'notes.txt'), 'mine');
  const kept = await runHere(quickPrune(output, ...quick, '--force'));
  t.is(kept.code, 4);
  t.regex(kept.stderr, /^error: .*small has what this program did not write.*\(notes\.txt\)/);
  t.is(await readFile(join(output, 'notes.txt'), 'utf8'), 'mine');
});

test('Ctrl-C in the middle: exit code 130, what is finished is kept, --resume goes on', async (t) => {
  const folder = await scratch(t);
  const output = join(folder, 'small');
  const before: string[] = [];
  const long = ['--calibration-tokens', '16384', '--allocation', 'uniform', '--no-samples'];
  const { code, stdout, stderr } = await run(quickPrune(output, ...long), {
    onStderr: (text, child) => {
      if (before.length > 0 || !text.includes('solve')) return;
      void readdir(folder).then((names) => {
        before.push(...names);
        child.kill('SIGINT');
      });
    },
  });
  t.is(code, 130, stderr);
  t.is(stdout, '');
  t.regex(stderr, /^error: stopped by SIGINT; .*--resume goes on \[ERR_ABORTED\]\n$/m);
  t.deepEqual(before, ['small.struprune-journal']);
  t.deepEqual(await readdir(folder), before);

  const refused = await run(quickPrune(output, ...long));
  t.is(refused.code, 4);
  t.regex(refused.stderr, /small\.struprune-journal; .*--resume.*--force.*\[ERR_OUTPUT\]/);
  const resumed = await run(quickPrune(output, ...long, '--resume', '--json'));
  t.is(resumed.code, 0, resumed.stderr);
  t.true(JSON.parse(resumed.stdout).resumedBlocks.length > 0);
  t.deepEqual(await readdir(folder), ['small']);
});

test('a quantised source: a folder is larger, which is said, and a file has its own type and is smaller', async (t) => {
  const folder = await scratch(t);
  const quick = ['--method', 'magnitude-l2', '--allocation', 'uniform', '--no-samples'];
  const sources = await Promise.all(
    ['q4_1', 'q8_0'].map(async (dtype) => {
      const file = join(folder, `${dtype}.gguf`);
      const made = await runHere(quickPrune(file, ...quick, '--dtype', dtype));
      t.is(made.code, 0, made.stderr);
      return file;
    }),
  );
  const [few, eight] = sources as [string, string];
  const [, , , , ...flags] = quickPrune('', ...quick);
  const again = async (source: string, output: string, ...more: string[]) => {
    const args = ['prune', source, '-o', join(folder, output), ...flags, ...more];
    const { code, stdout, stderr } = await runHere(args);
    t.is(code, 0, stderr);
    return stdout;
  };
  const larger = await again(few, 'larger');
  t.regex(
    larger,
    /^note: the source has Q4_1 weights, and F16 has more bits: -o NAME.gguf writes a smaller file$/m,
  );
  const smaller = await again(few, 'smaller.gguf');
  t.notRegex(smaller, /more bits/);
  t.regex(smaller, /weight files .* -\d/);
  t.regex(smaller, /\(q4_1, /);
  // Blocks of 32 do not hold such widths; attention's are others.
  const odd = await again(few, 'odd.gguf', '--multiple', '8');
  t.regex(odd, /\(f16, /);
  t.regex(odd, /: without --multiple 8 writes a smaller file$/m);
  const heads = ['--scope', 'attention', '--sparsity', '0.1', '--multiple', '8'];
  t.regex(await again(few, 'heads.gguf', ...heads), /\(q4_1, /);
  // More bits, and fewer bytes all the same.
  const most = await again(eight, 'most', '--sparsity', '0.65');
  t.regex(most, /weight files .* -\d/);
  t.notRegex(most, /more bits/);
  // In Q4_1 nothing would have to go.
  const sized = flags.map((word) => (word === '--sparsity' ? '--target-size' : word));
  sized[sized.indexOf('0.25')] = '2400000';
  const { stdout, stderr } = await runHere(['prune', few, '-o', join(folder, 'sized'), ...sized]);
  t.regex(stdout, /^note: the source has Q4_1 weights, and F16 has more bits$/m, stderr);
});

test('--max-shard-size is warned of where one file is written', async (t) => {
  const folder = await scratch(t);
  const quick = ['--method', 'magnitude-l2', '--max-shard-size', '1MB', '--json'];
  const file = await runHere(quickPrune(join(folder, 'small.gguf'), ...quick));
  t.regex(file.stderr, /^warning: --max-shard-size has no effect with a \.gguf output$/m);
  const shards = await runHere(quickPrune(join(folder, 'small'), ...quick));
  t.is(shards.code, 0);
  t.notRegex(shards.stderr, /max-shard-size/);
});
