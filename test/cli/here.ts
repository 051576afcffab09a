/** Runs the program in this process, where a process of its own is not what a test is about: a tenth of the time. */
import { runCommandLine } from '../../lib/cli/command-line';
import { speakAsCommandLine } from '../../lib/wording';
import { type Finished, ROOT, type RunOptions } from './run';

speakAsCommandLine();

let before: Promise<unknown> = Promise.resolve();

/** One after the other, for each takes what is written to stdout and stderr, the working directory and the environment. */
export function runHere(
  args: readonly string[],
  options: Pick<RunOptions, 'cwd' | 'env'> = {},
): Promise<Finished> {
  const running = before.then(() => runNow(args, options));
  before = running.catch(() => {});
  return running;
}

async function runNow(
  args: readonly string[],
  { cwd = ROOT, env = {} }: Pick<RunOptions, 'cwd' | 'env'>,
): Promise<Finished> {
  const finished: Finished = { code: null, stdout: '', stderr: '', signal: null };
  const own = { cwd: process.cwd(), env: { ...process.env } };
  const streams = ['stdout', 'stderr'] as const;
  const writes = streams.map((name) => process[name].write);
  for (const name of streams) {
    process[name].write = (text: string | Uint8Array) => {
      finished[name] += String(text);
      return true;
    };
  }
  process.chdir(cwd);
  Object.assign(process.env, env);
  try {
    finished.code = await runCommandLine(args);
  } finally {
    process.chdir(own.cwd);
    for (const name of Object.keys(env)) restore(name, own.env[name]);
    for (const [at, name] of streams.entries()) process[name].write = writes[at]!;
  }
  return finished;
}

function restore(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}
