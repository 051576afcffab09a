/** Runs the program as a user does: a process of its own, stdout and stderr in pipes. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { ExecutionContext } from 'ava';

export const ROOT = resolve(__dirname, '../..');
// What users run is dist/: made here where it is not current.
execFileSync(process.execPath, [join(ROOT, 'scripts', 'compile.js')]);

export const TINY = join(ROOT, 'assets', 'tiny');
export const CALIBRATION = join(ROOT, 'assets', 'text', 'calibration.txt');
export const EVALUATION = join(ROOT, 'assets', 'text', 'evaluation.txt');

export interface Finished {
  code: number | null;
  stdout: string;
  stderr: string;
  /** Ended by it. */
  signal: NodeJS.Signals | null;
}

export interface RunOptions {
  /** Milliseconds after which SIGKILL comes. */
  killAfter?: number;
  env?: NodeJS.ProcessEnv;
  /** The repository when left out. */
  cwd?: string;
  /** Starts ranks (test/team/mpi.ts). */
  launcher?: readonly string[];
  /** Sees every piece of stderr as it comes. */
  onStderr?: (text: string, child: ChildProcess) => void;
}

/** The program as a command. */
export const PROGRAM = [process.execPath, join(ROOT, 'dist', 'lib', 'cli', 'main.js')];

export function run(
  args: readonly string[],
  { env = {}, cwd = ROOT, launcher, onStderr, killAfter }: RunOptions = {},
) {
  const [command, ...words] = launcher ?? PROGRAM;
  const child = spawn(command!, [...words, ...args], {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const finished: Finished = { code: null, stdout: '', stderr: '', signal: null };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    finished.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    finished.stderr += text;
    onStderr?.(text, child);
  });
  const timer = killAfter !== undefined && setTimeout(() => child.kill('SIGKILL'), killAfter);
  return new Promise<Finished>((done, failed) => {
    child.on('error', failed);
    child.on('close', (code, signal) => {
      if (timer) clearTimeout(timer);
      done({ ...finished, code, signal });
    });
  });
}

/** A folder that goes with the test. */
export async function scratch(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'struprune-cli-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A prune of the embedded model that takes a moment: no survey, few tokens. */
export function quickPrune(output: string, ...more: string[]): string[] {
  const size = ['--sparsity', '0.25', '--calibration-tokens', '512', '--window', '128'];
  const quick = ['--tune-tokens', '0', ...size];
  return ['prune', TINY, '-o', output, '--calibration', CALIBRATION, ...quick, ...more];
}
