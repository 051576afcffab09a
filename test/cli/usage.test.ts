import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { exportTable, KIND_WORDS } from '../../lib/checkpoint/export-table';
import { runHere } from './here';
import { CALIBRATION, quickPrune, run, scratch, TINY } from './run';

test('help names the commands and needs no model', async (t) => {
  const { code, stdout, stderr } = await run(['--help']);
  t.is(code, 0);
  t.is(stderr, '');
  for (const name of ['prune', 'plan', 'eval', 'demo', 'devices', 'formats']) {
    t.regex(stdout, new RegExp(`^ {2}${name} `, 'm'));
  }
});

test('help of a command, said in front or behind', async (t) => {
  for (const words of [['prune'], ['bench', 'quality']]) {
    const { code, stdout } = await runHere(['help', ...words]);
    t.is(code, 0);
    t.is(stdout, (await runHere([...words, '--help'])).stdout);
    t.regex(stdout, new RegExp(`^Usage: struprune-native ${words.join(' ')} `));
  }
  t.is((await runHere(['help'])).stdout, (await runHere(['--help'])).stdout);
});

test('the version, by either flag', async (t) => {
  const { version } = JSON.parse(await readFile('package.json', 'utf8'));
  for (const flag of ['-v', '--version']) t.is((await run([flag])).stdout, `${version}\n`);
});

test('no command: the help, on stderr, and exit code 2', async (t) => {
  const { code, stdout, stderr } = await run([]);
  t.is(code, 2);
  t.is(stdout, '');
  t.regex(stderr, /^Usage: struprune-native/);
});

test('plan takes a command of prune, and lists of its flags those that matter', async (t) => {
  const help = await runHere(['plan', '--help']);
  t.regex(help.stdout, /--sparsity/);
  t.notRegex(help.stdout, /--force|--resume|--report|--samples|--no-samples/);
  const args = quickPrune('x', '--force', '--resume', '--no-samples', '--json', '--report');
  const { code, stdout, stderr } = await runHere(['plan', ...args.slice(1)]);
  t.is(code, 0, stderr);
  t.true(JSON.parse(stdout).fits);
});

const USAGE: [what: string, args: string[], message: RegExp][] = [
  ['an unknown command', ['prun'], /unknown command 'prun'; did you mean prune\?/],
  [
    'an unknown flag',
    ['devices', '--fast'],
    /unknown option '--fast'; see struprune-native devices --help/,
  ],
  ['a missing flag', ['export', TINY], /error: missing: -o <path>; see struprune-native export -/],
  [
    'all that is missing',
    ['prune'],
    /missing: <model>, -o <path> and one of --sparsity, --target-params, --target-macs, --target-size and --target-speed; see struprune-native prune --help \[/,
  ],
  [
    'a misspelt flag, which is what is missing',
    ['prune', TINY, '-o', 'never', '--sparsity', '0.2', '--calibraton', CALIBRATION],
    /unknown option '--calibraton' \(did you mean --calibration\?\); see struprune-native prune --help \[/,
  ],
  [
    'a flag that is none',
    ['prune', '--zzz=3', '-o', 'never'],
    /unknown option '--zzz'; see struprune-native prune --help \[/,
  ],
  ['nothing but the model for a plan', ['plan'], /missing: <model>; see struprune-native plan -/],
  [
    'a model that a flag took',
    ['prune', '--report', TINY, ...quickPrune('x').slice(2)],
    /missing: <model>; --report took '.*tiny' for its own: put --report last; see/,
  ],
  ['an unknown command with --help', ['frobnicate', '--help'], /unknown command 'frobnicate'; see/],
  ['an unknown benchmark', ['bench', 'qualty'], /'qualty' of bench; did you mean quality\? see/],
  [
    'an unknown benchmark with flags',
    ['bench', 'foo', '--json'],
    /'foo' of bench; see \S+ bench -/,
  ],
  ['help of nothing', ['help', 'prun'], /unknown command 'prun'; did you mean prune\?/],
  [
    'a benchmark with a wrong list',
    ['bench', 'quality', TINY, '--sparsities', '0.1,2'],
    /\(0\.2 or 20%\); see struprune-native bench quality --help/,
  ],
  [
    'a share without its sign',
    quickPrune('x', '--sparsity', '20'),
    /below 1.* \(0\.2 or 20%\); see/,
  ],
  [
    'a folder by the name of a file',
    ['plan', TINY, '-o', 'small.onnx'],
    /small\.onnx is the name of a file, .*write to small, or/,
  ],
  ['a family that is none', ['formats', 'qwne3'], /no family qwne3; did you mean qwen3\?/],
  ['nothing to remove', quickPrune('x', '--sparsity', '0'), /--sparsity <share>.*above 0/],
  [
    'the beginning of a flag',
    ['prune', TINY, '-o', 'never', '--sparsity', '0.2', '--calib', CALIBRATION],
    /unknown option '--calib' \(did you mean --calibration\?\)/,
  ],
  [
    "another program's word",
    ['prune', TINY, '-o', 'never', '--sparsity_ratio', '0.2', '--calibration', CALIBRATION],
    /unknown option '--sparsity_ratio' \(did you mean --sparsity\?\)/,
  ],
  [
    "another program's word where it has no sense",
    ['devices', '--nsamples', '128'],
    /unknown option '--nsamples'; see struprune-native devices --help/,
  ],
  [
    'a flag without sense',
    quickPrune('x', '--method', 'guess'),
    /--method <name>.*'guess' is invalid\. Allowed choices are struprune, magnitude-l2/,
  ],
  [
    'a share above 1',
    quickPrune('x', '--sparsity', '1.5'),
    /--sparsity <share>.*above 0 and below 1/,
  ],
  ['a size without sense', quickPrune('x', '--memory', '5 parsecs'), /--memory <size>.*MiB/],
  [
    'two targets',
    quickPrune('x', '--target-params', '1000'),
    /--sparsity and --target-params exclude each other; give one of --sparsity, --target-params/,
  ],
  [
    'no target',
    ['prune', TINY, '-o', 'x', '--calibration', CALIBRATION],
    /how much to prune; give one of --sparsity, --target-params, --target-macs, --target-size and --target-speed/,
  ],
  [
    'a model that a list took',
    ['bench', 'quality', '--eval', CALIBRATION, TINY],
    /missing: <model>; --eval took '.*tiny' for its own: put --eval last/,
  ],
  ['a self-test as JSON', ['devices', '--selftest', '--json'], /--selftest has no JSON/],
  ['an empty path', quickPrune(''), /option --output is ''; give a path \[/],
  ['a contradiction', quickPrune('x', '--keep-bias', '--bias', 'add'), /exclude each other/],
];
for (const [at, [what, args, message]] of USAGE.entries()) {
  test(`${what}: one line and exit code 2`, async (t) => {
    const { code, stdout, stderr } = await (at === 0 ? run : runHere)(args);
    t.is(code, 2, stderr);
    t.is(stdout, '');
    t.regex(stderr, message);
    t.regex(stderr, /^error: .* \[ERR_ARGUMENT\]\n$/);
  });
}

test('plan takes a command of prune as it stands', async (t) => {
  const [, ...args] = quickPrune('x', '--keep-bias', '--force', '--report');
  const { code, stdout, stderr } = await runHere(['plan', ...args]);
  t.is(code, 0, stderr);
  t.regex(stdout, /^output: a Hugging Face folder in f16$/m);
});

test('formats of one family', async (t) => {
  const familiesOf = async (name: string) => {
    const { code, stdout } = await runHere(['formats', name, '--json']);
    t.is(code, 0);
    const rows: { family: string }[] = JSON.parse(stdout);
    return [...new Set(rows.map(({ family }) => family))];
  };
  const otherwise = async (name: string) =>
    /^A GGUF file of (\S+) is the model as llama.cpp runs it: with (.*)$/m
      .exec((await runHere(['formats', name])).stdout)
      ?.slice(1);
  t.deepEqual(await otherwise('gpt-neox'), ['gpt-neox', 'GELU by its tanh approximation.']);
  t.is((await otherwise('gpt-oss'))?.[0], 'gpt-oss');
  t.is(await otherwise('gpt2'), undefined);
  t.deepEqual(await familiesOf('Qwen3'), ['qwen3']);
  t.deepEqual(await familiesOf('gemma'), ['gemma2', 'gemma3']);
});

test('formats for people: every combination is in one line, with its answer', async (t) => {
  const { stdout } = await runHere(['formats']);
  const lines = stdout.split('\n').map((line) => line.split(/ {2,}/));
  const columns = lines.findIndex(([first]) => first === 'family');
  const shown = lines.slice(
    columns + 1,
    lines.findIndex(([first], at) => at > columns && !first),
  );
  const rows = exportTable();
  t.true(shown.length < rows.length / 2);
  const has = (cell: string | undefined, value: string) =>
    cell === 'any' || cell!.split(', ').includes(value);
  for (const { family, scope, widths, addedBias, hf, gguf } of rows) {
    const its = shown.filter(
      (cells) =>
        cells[0] === family &&
        has(cells[1], scope) &&
        has(cells[2], widths) &&
        has(cells[3], addedBias ? 'yes' : 'no'),
    );
    const words = [hf, gguf].map((kind) => (kind === null ? 'refused' : KIND_WORDS[kind]));
    t.deepEqual(
      its.map((cells) => cells.slice(4)),
      [words],
      `${family}, ${scope}, ${widths}, ${addedBias}`,
    );
  }
});

test('plan says what it assumed, and refuses what prune would', async (t) => {
  const assumed = await runHere(['plan', TINY]);
  t.is(assumed.code, 0, assumed.stderr);
  t.regex(assumed.stdout, /^planned for nothing removed, .*no target was given$/m);
  const [, ...args] = quickPrune('x', '--memory', '40MiB');
  const tight = await runHere(['plan', ...args]);
  t.is(tight.code, 6, tight.stderr);
  t.regex(tight.stdout, /^memory: \d+ MiB, of which/m);
  t.notRegex(tight.stdout, /no target/);
  const least =
    /^error: prune would refuse it: .*the budget is 40 MiB; raise --memory to (\d+)MiB/m;
  const memory = least.exec(tight.stderr)?.[1];
  const enough = await runHere(['plan', ...args.slice(0, -1), `${memory}MiB`]);
  t.is(enough.code, 0, enough.stderr);

  const mute = join(await scratch(t), 'mute');
  await cp(TINY, mute, { recursive: true });
  await rm(join(mute, 'tokenizer.json'));
  const { code, stdout, stderr } = await runHere(['plan', mute]);
  t.is(code, 3);
  t.is(stdout, '');
  t.regex(stderr, /^error: .*tokenizer\.json.*\[ERR_NOT_FOUND\]\n$/);
});

test('input that is not there or no text: exit code 3, and the mend', async (t) => {
  const folder = await scratch(t);
  const empty = join(folder, 'empty.txt');
  await writeFile(empty, '');
  const missing = await runHere(['eval', join(folder, 'nothing'), '--text', CALIBRATION, '--json']);
  t.is(missing.code, 3);
  t.is(missing.stdout, '');
  t.regex(
    missing.stderr,
    /^error: .*nothing: no such file or folder; give the path .*\[ERR_NOT_FOUND\]\n$/,
  );
  const nothing = await runHere(['eval', TINY, '--text', empty]);
  t.is(nothing.code, 3);
  t.regex(nothing.stderr, /^error: .*is empty; give a file with text \[ERR_TEXT\]\n$/);
});

test('a name that the cache does not have, offline: exit code 3, and the mend', async (t) => {
  const [, , ...flags] = quickPrune('x');
  const env = { HF_HOME: await scratch(t), HF_HUB_OFFLINE: '1' };
  const { code, stderr } = await run(['prune', 'Owner/Some-Model', ...flags], { env });
  t.is(code, 3);
  t.regex(stderr, /does not have all of Owner\/Some-Model at main.*; unset HF_HUB_OFFLINE/);
});

test('a budget that cannot hold the work: exit code 6', async (t) => {
  const args = ['eval', TINY, '--text', CALIBRATION, '--max-tokens', '512', '--memory', '64KiB'];
  const { code, stderr } = await run(args);
  t.is(code, 6, stderr);
  t.regex(stderr, /^error: .*\[ERR_BUDGET\]\n$/m);
});

test('devices says when the environment chose the kernels of the BLAS', async (t) => {
  const devices = async (kernel: string) => {
    const { code, stdout, stderr } = await run(['devices', '--threads', '1', '--device', 'cpu'], {
      env: { OPENBLAS_CORETYPE: kernel },
    });
    t.is(code, 0, stderr);
    return stdout;
  };
  const [forced, own] = [await devices('Nehalem'), await devices('')];
  if (!/^BLAS +OpenBLAS/m.test(own)) return t.pass('another BLAS');
  t.regex(forced, /^ +OPENBLAS_CORETYPE=Nehalem chose that kernel; unset it/m);
  t.notRegex(own, /OPENBLAS_CORETYPE/);
});

test('STRUPRUNE_CPU hides what a processor has beyond another', async (t) => {
  const env = { STRUPRUNE_CPU: 'avx2' };
  const args = ['devices', '--threads', '1', '--device', 'cpu', '--json'];
  const { code, stdout, stderr } = await run(args, { env });
  t.is(code, 0, stderr);
  const { features, gemmPaths } = JSON.parse(stdout);
  t.like(features, { avx512: false, avx512Bf16: false, amxBf16: false });
  t.true(gemmPaths.includes('cblas-f32') && !/amx|avx512|bf16/.test(gemmPaths.join()));
  const wrong = await run(args, { env: { STRUPRUNE_CPU: 'sse' } });
  t.is(wrong.code, 2);
  t.is(wrong.stderr, "error: STRUPRUNE_CPU is 'sse'; choose avx2 or avx512 [ERR_ARGUMENT]\n");
});
