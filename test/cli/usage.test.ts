import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { CALIBRATION, quickPrune, run, scratch, TINY } from './run';

test('help names the commands and needs no model', async (t) => {
  const { code, stdout, stderr } = await run(['--help']);
  t.is(code, 0);
  t.is(stderr, '');
  for (const name of ['prune', 'plan', 'eval', 'demo', 'devices', 'formats']) {
    t.regex(stdout, new RegExp(`^ {2}${name} `, 'm'));
  }
});

test('no command: the help, on stderr, and exit code 2', async (t) => {
  const { code, stdout, stderr } = await run([]);
  t.is(code, 2);
  t.is(stdout, '');
  t.regex(stderr, /^Usage: struprune-native/);
});

test('plan takes a command of prune, and lists of its flags those that matter', async (t) => {
  const help = await run(['plan', '--help']);
  t.regex(help.stdout, /--sparsity/);
  t.notRegex(help.stdout, /--force|--resume|--report|--samples|--no-samples/);
  const args = quickPrune('x', '--force', '--resume', '--no-samples', '--json', '--report');
  const { code, stdout, stderr } = await run(['plan', ...args.slice(1)]);
  t.is(code, 0, stderr);
  t.true(JSON.parse(stdout).fits);
});

const USAGE: [what: string, args: string[], message: RegExp][] = [
  ['an unknown command', ['prun'], /unknown command 'prun'.*did you mean prune\?/],
  [
    'an unknown flag',
    ['devices', '--fast'],
    /unknown option '--fast'; see struprune-native devices --help/,
  ],
  ['a missing flag', ['eval', TINY], /required option '--text <file>' not specified/],
  [
    'a flag without sense',
    quickPrune('x', '--method', 'guess'),
    /--method <name>.*'guess' is invalid\. Allowed choices are struprune, magnitude/,
  ],
  ['a share above 1', quickPrune('x', '--sparsity', '1.5'), /--sparsity <share>.*0 to below 1/],
  ['a size without sense', quickPrune('x', '--memory', '5 parsecs'), /--memory <size>.*MiB/],
  [
    'two targets',
    quickPrune('x', '--target-params', '1000'),
    /--sparsity and --target-params exclude each other; give one of --sparsity, --target-params/,
  ],
  [
    'no target',
    ['prune', TINY, '-o', 'x', '--calibration', CALIBRATION],
    /how much to prune; give one of --sparsity, --target-params and --target-size/,
  ],
  ['an empty path', quickPrune(''), /option --output is ''; give a path \[/],
  ['a contradiction', quickPrune('x', '--keep-bias', '--bias', 'add'), /exclude each other/],
];
for (const [what, args, message] of USAGE) {
  test(`${what}: one line and exit code 2`, async (t) => {
    const { code, stdout, stderr } = await run(args);
    t.is(code, 2, stderr);
    t.is(stdout, '');
    t.regex(stderr, message);
    t.regex(stderr, /^error: .* \[ERR_ARGUMENT\]\n$/);
  });
}

test('input that is not there or no text: exit code 3, and the mend', async (t) => {
  const folder = await scratch(t);
  const empty = join(folder, 'empty.txt');
  await writeFile(empty, '');
  const missing = await run(['eval', join(folder, 'nothing'), '--text', CALIBRATION, '--json']);
  t.is(missing.code, 3);
  t.is(missing.stdout, '');
  t.regex(
    missing.stderr,
    /^error: .*nothing: no such file or folder; give the path .*\[ERR_NOT_FOUND\]\n$/,
  );
  const nothing = await run(['eval', TINY, '--text', empty]);
  t.is(nothing.code, 3);
  t.regex(nothing.stderr, /^error: .*is empty; give a file with text \[ERR_TEXT\]\n$/);
});

test('the name of a model on a hub: how to download it', async (t) => {
  const [, , ...flags] = quickPrune('x');
  const { code, stderr } = await run(['prune', 'Owner/Some-Model', ...flags]);
  t.is(code, 3);
  t.regex(
    stderr,
    /Owner\/Some-Model: no such .*not downloaded, `huggingface-cli download Owner\/Some-Model --local-dir DIR` does/,
  );
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
