/** Small programs over dist/ in processes of their own: what they do may end them. */
import { execFileSync, spawn } from 'node:child_process';
import { join, resolve } from 'node:path';

export const ROOT = resolve(__dirname, '../..');
export const DIST = join(ROOT, 'dist', 'lib', 'index.js');

/** Makes dist/ where it is not current. */
export function build(): void {
  execFileSync(process.execPath, [join(ROOT, 'scripts', 'compile.js')]);
}

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** Runs a program of test/embed/programs, which finds dist/ in STRUPRUNE_DIST. */
export function runProgram(
  name: string,
  args: readonly string[] = [],
  { node = process.execPath, flags = [] as string[] } = {},
): Promise<Ended> {
  const child = spawn(node, [...flags, join(__dirname, 'programs', name), ...args], {
    env: { ...process.env, STRUPRUNE_DIST: DIST },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    ended.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    ended.stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ ...ended, code, signal }));
  });
}
