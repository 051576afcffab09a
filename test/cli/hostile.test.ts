/** Input and output that cannot be: the program's exit code, one line with the mend, and nothing left. */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import test from 'ava';
import { workspace } from '../e2e/models';
import { hostileGguf } from '../hostile/gguf';
import { writeHostile } from '../hostile/hostile-file';
import { runHere } from './here';
import { CALIBRATION } from './run';

const work = workspace();
test.after.always(() => work.remove());

function edited(model: string, file: string, edit: (text: Buffer) => string | Buffer): string {
  const folder = work.model(model);
  const path = join(folder, file);
  writeFileSync(path, edit(readFileSync(path)));
  return folder;
}

function withoutShard(): string {
  const folder = work.model('llama3');
  unlinkSync(join(folder, 'model-00003-of-00005.safetensors'));
  return folder;
}

/** The last value of the last F16 tensor, whichever that is, is a NaN. */
function withNaN(): string {
  return edited('llama2', 'model.safetensors', (bytes) => {
    bytes.writeUInt16LE(0x7e00, bytes.length - 2);
    return bytes;
  });
}

function textOf(content: string): string {
  const path = work.path('text');
  writeFileSync(path, content);
  return path;
}

interface Case {
  model?: string;
  calibration?: string;
  output?: string;
  code: number;
  message: RegExp;
}

const CASES: [what: string, make: () => Case | Promise<Case>][] = [
  [
    'a missing shard',
    () => ({
      model: withoutShard(),
      code: 3,
      message:
        /model-00003-of-00005\.safetensors is missing .*; fetch the missing file \[ERR_CHECKPOINT\]/,
    }),
  ],
  [
    'weights with a NaN',
    () => ({ model: withNaN(), code: 3, message: /not finite; .*\[ERR_NAN\]/ }),
  ],
  [
    'an unknown family',
    () => ({
      model: edited('llama2', 'config.json', (text) =>
        String(text).replace('"llama"', '"mamba"').replace('LlamaForCausalLM', 'MambaForCausalLM'),
      ),
      code: 3,
      message: /mamba.*; .*llama.*\[ERR_UNSUPPORTED\]/,
    }),
  ],
  [
    'an empty calibration text',
    () => ({ calibration: textOf(''), code: 3, message: /is empty; .*\[ERR_TEXT\]/ }),
  ],
  [
    'a tiny calibration text',
    () => ({
      calibration: textOf('tiny'),
      code: 3,
      message: /has 4 tokens, one window needs 48; .*\[ERR_TEXT\]/,
    }),
  ],
  [
    'a truncated file of weights',
    () => ({
      model: edited('llama2', 'model.safetensors', (bytes) => bytes.subarray(0, 5000)),
      code: 3,
      message: /; .*\[ERR_CHECKPOINT\]/,
    }),
  ],
  [
    'a hostile GGUF file',
    async () => ({
      model: await writeHostile(work.emptyFolder(), hostileGguf[0]!, 'gguf'),
      code: 3,
      message: /; .*\[ERR_CHECKPOINT\]/,
    }),
  ],
  [
    'an output that nobody may write',
    () => ({ output: '/proc/struprune/out', code: 4, message: /cannot write.*\[ERR_OUTPUT\]/ }),
  ],
  [
    'an output under a file',
    () => ({
      output: join(textOf('a file'), 'out'),
      code: 4,
      message: /a part of the path is a file; give a path .*\[ERR_OUTPUT\]/,
    }),
  ],
];

function pruneArgs(model: string, output: string, calibration = CALIBRATION): string[] {
  const size = ['--sparsity', '0.2', '--calibration-tokens', '480', '--window', '48'];
  const rest = ['--method', 'magnitude-l2', '--threads', '1', '--json'];
  return ['prune', model, '-o', output, '--calibration', calibration, ...size, ...rest];
}

for (const [what, make] of CASES) {
  test(`${what}: exit code, mend, no output`, async (t) => {
    const { model = work.model('llama2'), calibration, output, code, message } = await make();
    const folder = work.emptyFolder();
    const args = pruneArgs(model, output ?? join(folder, 'out'), calibration);
    const finished = await runHere(args);
    t.is(finished.code, code, finished.stderr);
    t.is(finished.stdout, '');
    t.regex(finished.stderr, message);
    t.regex(finished.stderr, /^error: .*\n$/m);
    t.deepEqual(readdirSync(folder), []);
  });
}

const program = join(resolve(__dirname, '../..'), 'dist', 'lib', 'cli', 'main.js');

test('a stdout that takes nothing: exit code 4, and it says so', (t) => {
  const full = openSync('/dev/full', 'w');
  const { status, stderr } = spawnSync(process.execPath, [program, 'formats', '--json'], {
    stdio: ['ignore', full, 'pipe'],
    encoding: 'utf8',
  });
  closeSync(full);
  t.is(status, 4);
  t.regex(stderr, /^error: the result cannot be written: ENOSPC.* \[ERR_OUTPUT\]\n$/);
});

test("what a checkpoint's maker wrote moves no cursor", async (t) => {
  const model = edited('llama2', 'config.json', (text) =>
    text.toString('utf8').replace(/"model_type": *"[^"]*"/, '"model_type": "\\u001b[2J\\u009bm"'),
  );
  const { code, stderr } = await runHere(['eval', model, '--text', CALIBRATION]);
  t.is(code, 3);
  t.regex(stderr, /^error: .*"?\ufffd\[2J\ufffdm/);
});

test('a full output disk: exit code 4, mend, no output', (t) => {
  const folder = work.emptyFolder();
  const args = [process.execPath, program, ...pruneArgs(work.model('llama2'), join(folder, 'out'))];
  // No file may grow past 100 of the 512 bytes that the shell counts by. A disk that is really full needs the
  // right to mount one: test/e2e/disk.test.ts.
  const limited = ['-c', 'ulimit -f 100; "$@"', 'sh', ...args];
  const { status, stdout, stderr } = spawnSync('sh', limited, { encoding: 'utf8' });
  t.is(status, 4, stderr);
  t.is(stdout, '');
  t.regex(
    stderr,
    /error: cannot write .*; give a path on another file system; .* --resume .* \[ERR_OUTPUT\]\n$/,
  );
  t.deepEqual(readdirSync(folder), ['out.struprune-journal']);
});
