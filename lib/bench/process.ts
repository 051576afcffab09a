/** A program in a process of its own, with its seconds and the most memory that it was seen to have. */
import { spawn } from 'node:child_process';
import { StruPruneError } from '../errors';

export interface Finished {
  seconds: number;
  /** Largest of what `memoryOf` said; null where it never knew. */
  peakBytes: number | null;
  stdout: string;
}

/** Between two looks at a process, and at least so many times what a look takes: it holds the process up. */
const LOOK_EVERY_MS = 20;
const LOOK_SHARE = 10;
/** Characters. */
const STDERR_KEPT = 2 ** 16;
/** What the system says of something that is no program. */
const NO_PROGRAM = ['ENOENT', 'EACCES'];

export interface Around {
  env?: NodeJS.ProcessEnv;
  signal: AbortSignal | undefined;
  /** Asked again and again, by the process's number. */
  memoryOf?: (pid: number) => number | null;
  /** The command that starts the program somewhere. */
  within?: (command: readonly string[]) => string[];
}

interface Ended extends Finished {
  /** Or the signal that ended it. */
  code: number | string | null;
  /** Its last part. */
  stderr: string;
}

/** The finished program. @throws StruPruneError ERR_NOT_FOUND (no such program), ERR_UNSUPPORTED (it failed) */
export async function runProgram(command: readonly string[], around: Around): Promise<Finished> {
  const ended = await endOf(command, around);
  if (ended.code === 0) return ended;
  throw new StruPruneError(
    'ERR_UNSUPPORTED',
    `${command.join(' ')} ended with ${ended.code}: ${lastLine(ended.stderr)}`,
    'see whether it runs by itself',
  );
}

/** Whatever its end is; an aborted one has ended too. @throws StruPruneError ERR_NOT_FOUND (no such program) */
export async function endOf(
  command: readonly string[],
  { env, signal, memoryOf = () => null, within = (words) => [...words] }: Around,
): Promise<Ended> {
  const start = performance.now();
  const [program, ...args] = within(command);
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
    stderr = (stderr + text).slice(-STDERR_KEPT);
  });
  let peak: number | null = null;
  let next: NodeJS.Timeout;
  const look = () => {
    const start = performance.now();
    const now = child.pid === undefined ? null : memoryOf(child.pid);
    if (now !== null) peak = Math.max(peak ?? 0, now);
    next = setTimeout(look, Math.max(LOOK_EVERY_MS, LOOK_SHARE * (performance.now() - start)));
  };
  look();
  try {
    const code = await new Promise<Ended['code']>((done, failed) => {
      let fault: Error | null = null;
      child.on('error', (error) => {
        fault = error;
        // It never began.
        if (child.pid === undefined) failed(error);
      });
      child.on('close', (status, killedBy) => (fault ? failed(fault) : done(status ?? killedBy)));
    });
    return { code, seconds: (performance.now() - start) / 1000, peakBytes: peak, stdout, stderr };
  } catch (error) {
    signal?.throwIfAborted();
    if (!NO_PROGRAM.includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    throw new StruPruneError(
      'ERR_NOT_FOUND',
      `there is no program ${command[0]}`,
      'check its name, and that it may be run',
    );
  } finally {
    clearTimeout(next!);
  }
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) || 'it said nothing';
}
