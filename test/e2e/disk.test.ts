/** A disk that fills up, or is too small from the start: named errors, nothing half done left on it. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import test from 'ava';
import type { ErrorCode } from '../../lib/errors';
import type { PruneOptions } from '../../lib/options';
import { plan } from '../../lib/plan';
import { prune } from '../../lib/prune';
import { hashesOf } from './files';
import { CALIBRATION, workspace } from './models';

const work = workspace();
test.after.always(() => work.remove());

const TS_NODE = [process.execPath, '-r', require.resolve('../../scripts/lib/ts-register.js')];
const PROGRAM = [...TS_NODE, join(__dirname, 'prune-process.ts')];

function options(more: Partial<PruneOptions>): string {
  return JSON.stringify({
    calibration: CALIBRATION,
    calibrationTokens: 480,
    tuneTokens: 0,
    window: 48,
    sparsity: 0.1,
    allocation: 'uniform',
    threads: 1,
    ...more,
  });
}

interface Outcome {
  /** Of the process that pruned. */
  status: number | null;
  error: { code?: string; message?: string };
  /** Names in the folder afterwards. */
  left: string[];
}

/** Runs `$@` in a shell after `setup`; then the names in `folder`, one a line. */
function runAfter(setup: string, folder: string, model: string, more: Partial<PruneOptions>) {
  const script = `${setup}; "$@"; echo status $?; ls -A '${folder}'`;
  const args = ['-c', script, 'sh', ...PROGRAM, model, options(more)];
  return { command: 'sh', args };
}

function outcomeOf({ command, args }: { command: string; args: string[] }): Outcome {
  const { stdout } = spawnSync(command, args, { encoding: 'utf8' });
  const [json, status, ...left] = stdout.trimEnd().split('\n');
  return { status: Number(status!.split(' ')[1]), error: JSON.parse(json!), left };
}

/** What opens a mount name space here, or null: root's own, or that of a user name space. */
function mountSpace(): string[] | null {
  const tries = [
    ['unshare', '-m'],
    ['unshare', '-r', '-m'],
  ];
  const mount = ['mount', '-t', 'tmpfs', 'tmpfs', work.emptyFolder()];
  const works = ([command, ...args]: string[]) =>
    spawnSync(command!, [...args, ...mount]).status === 0;
  return tries.find(works) ?? null;
}

for (const name of ['out', 'out.gguf']) {
  test.serial(`a file that may not grow: ${name}`, (t) => {
    const folder = work.emptyFolder();
    const model = work.model('llama2');
    // 100 of the 512 bytes that the shell counts by; the weights are some 300,000 bytes.
    // Magnitude needs no scratch files.
    const more: Partial<PruneOptions> = { output: join(folder, name), method: 'magnitude-l2' };
    const run = runAfter('ulimit -f 100', folder, model, more);
    const { status, error, left } = outcomeOf(run);
    t.is(status, 0);
    t.like(error, { code: 'ERR_OUTPUT' });
    t.regex(error.message!, /larger than the system allows; give a path.*resume: true goes on/);
    t.deepEqual(left, [`${name}.struprune-journal`], 'the survey was finished');
  });
}

const space = mountSpace();
type Options = (folder: string) => Partial<PruneOptions>;
const where: [what: string, size: string, code: ErrorCode, more: Options][] = [
  ['weights, hf', '128k', 'ERR_OUTPUT', (folder) => ({ output: join(folder, 'out') })],
  ['weights, gguf', '128k', 'ERR_OUTPUT', (folder) => ({ output: join(folder, 'out.gguf') })],
  ['the tokenizer', '8k', 'ERR_OUTPUT', (folder) => ({ output: join(folder, 'out') })],
  ['scratch', '32k', 'ERR_SCRATCH', (folder) => ({ output: work.path('out'), scratch: folder })],
];
for (const [what, size, code, more] of where) {
  const run = space ? test.serial : test.serial.skip;
  run(`a disk that is too small: ${what}`, (t) => {
    const folder = work.emptyFolder();
    const setup = `mount -t tmpfs -o size=${size} tmpfs '${folder}'`;
    const { command, args } = runAfter(setup, folder, work.model('llama2'), more(folder));
    const [unshare, ...flags] = space!;
    const { status, error, left } = outcomeOf({
      command: unshare!,
      args: [...flags, command, ...args],
    });
    t.is(status, 0);
    t.like(error, { code });
    t.regex(error.message!, /the disk is full|No space left/);
    t.deepEqual(left, []);
  });
}

for (const [what, code] of [
  ['output', 'ERR_OUTPUT'],
  ['scratch', 'ERR_SCRATCH'],
] as const) {
  const run = space ? test.serial : test.serial.skip;
  run(`a disk that fills up in the middle of a run, which then goes on: ${what}`, async (t) => {
    const model = work.model('llama2');
    const folder = work.emptyFolder();
    // Hidden states of two pages that do not all fit, so that scratch is needed.
    const settings = {
      ...JSON.parse(options({ calibrationTokens: 170 * 48 })),
      output: work.path('whole'),
    };
    const { smallestMemory } = await plan(model, settings);
    const whole = await prune(model, settings);
    const tight = JSON.stringify({
      ...settings,
      memory: smallestMemory,
      output: join(what === 'output' ? folder : work.emptyFolder(), 'out'),
      scratch: what === 'scratch' ? folder : work.emptyFolder(),
    });
    const script = `mount -t tmpfs -o size=32m tmpfs '${folder}' && "$@"`;
    const [unshare, ...flags] = space!;
    const program = [...TS_NODE, join(__dirname, 'full-disk-process.ts'), model, tight, folder];
    const { stdout, stderr } = spawnSync(
      unshare!,
      [...flags, 'sh', '-c', script, 'sh', ...program],
      {
        encoding: 'utf8',
      },
    );
    t.not(stdout, '', stderr);
    const found = JSON.parse(stdout);
    t.like(found, { code, resumedBlocks: [0] });
    t.regex(found.message, /(the disk is full|No space left).*resume: true goes on from block 1/);
    t.deepEqual(found.hashes, hashesOf(whole.output));
  });
}
