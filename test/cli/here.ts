/** Runs the program in this process, where a process of its own is not what a test is about: a tenth of the time. */
import { runCommandLine } from '../../lib/cli/command-line';
import { speakAsCommandLine } from '../../lib/wording';
import type { Finished } from './run';

speakAsCommandLine();

let before: Promise<unknown> = Promise.resolve();

/** One after the other, for each takes what is written to stdout and stderr. */
export function runHere(args: readonly string[]): Promise<Finished> {
  const running = before.then(() => runNow(args));
  before = running.catch(() => {});
  return running;
}

async function runNow(args: readonly string[]): Promise<Finished> {
  const finished: Finished = { code: null, stdout: '', stderr: '', signal: null };
  const streams = ['stdout', 'stderr'] as const;
  const writes = streams.map((name) => process[name].write);
  for (const name of streams) {
    process[name].write = (text: string | Uint8Array) => {
      finished[name] += String(text);
      return true;
    };
  }
  try {
    finished.code = await runCommandLine(args);
  } finally {
    for (const [at, name] of streams.entries()) process[name].write = writes[at]!;
  }
  return finished;
}
