/** A program in a process of its own, with its seconds and its largest resident size. */
import { spawn } from 'node:child_process';
import { StruPruneError } from '../../errors';
import { peakOf } from '../resident';

export interface Finished {
  seconds: number;
  /** null where the system has no /proc. */
  peakRssBytes: number | null;
  stdout: string;
}

/** The peak only grows, so that the last look before the end is at most this late. */
const LOOK_EVERY_MS = 20;

/** @throws StruPruneError ERR_NOT_FOUND (no such program), ERR_UNSUPPORTED (it failed) */
export async function runProgram(
  command: readonly string[],
  env: NodeJS.ProcessEnv,
  signal: AbortSignal | undefined,
): Promise<Finished> {
  const start = performance.now();
  const [program, ...args] = command;
  const child = spawn(program!, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
    signal,
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-4000);
  });
  let peak: number | null = null;
  const look = setInterval(() => {
    const now = child.pid === undefined ? null : peakOf(child.pid);
    if (now !== null) peak = Math.max(peak ?? 0, now);
  }, LOOK_EVERY_MS);
  try {
    const code = await new Promise<number | null>((done, failed) => {
      child.on('error', failed);
      child.on('close', done);
    });
    if (code === 0) {
      return { seconds: (performance.now() - start) / 1000, peakRssBytes: peak, stdout };
    }
    throw new StruPruneError(
      'ERR_UNSUPPORTED',
      `${command.join(' ')} ended with ${code}: ${lastLine(stderr)}`,
      'see whether it runs by itself',
    );
  } catch (error) {
    signal?.throwIfAborted();
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new StruPruneError('ERR_NOT_FOUND', `there is no program ${program}`, 'check its name');
  } finally {
    clearInterval(look);
  }
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) || 'it said nothing';
}
