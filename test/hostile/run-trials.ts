/** Runs trials in child processes and says which of them a file could hurt. */
import { type ChildProcess, fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { workspace } from '../e2e/models';
import { makeSpecimens } from './specimens';
import type { Outcome } from './trial-process';
import { KINDS, type Kind, type Trial, trialOf } from './trials';

/** A trial that ended as none may. */
export interface Fault extends Trial {
  what: string;
  fault: string;
}

export interface Tally {
  faults: Fault[];
  /** Trials of a kind by how they ended: a code, or `accepted`. */
  ended: Partial<Record<Kind, Record<string, number>>>;
}

const HANG_SECONDS = 10;
/** A process that waits takes no processor; under load one that works takes little. */
const STUCK_SECONDS = 60;
const LEAST_BYTES = 256 * 2 ** 20;
const BYTES_PER_BYTE = 8;
const LOOK_MS = 250;
/** Clock ticks of /proc a second. */
const TICKS = 100;

/** Runs `count` trials from seed `from` on. */
export async function runTrials(
  count: number,
  { from = 0, kinds = KINDS }: { from?: number; kinds?: readonly Kind[] } = {},
): Promise<Tally> {
  const work = workspace();
  try {
    const specimens = await makeSpecimens(work);
    const argument = JSON.stringify([work.emptyFolder(), specimens]);
    const tally: Tally = { faults: [], ended: {} };
    let next = 0;
    const take = (): Trial | null => {
      if (next >= count) return null;
      return trialOf(from + next++, kinds);
    };
    await Promise.all(
      Array.from({ length: availableParallelism() }, () => runAll(take, argument, tally)),
    );
    return tally;
  } finally {
    work.remove();
  }
}

/** One child after the other: a new one where a trial has ended the last. */
async function runAll(take: () => Trial | null, argument: string, tally: Tally): Promise<void> {
  let child: ChildProcess | null = null;
  for (let trial = take(); trial; trial = take()) {
    child ??= await start(argument);
    const outcome = await outcomeOf(child, trial);
    const fault = typeof outcome === 'string' ? outcome : faultOf(outcome);
    const what = typeof outcome === 'string' ? '' : outcome.what;
    const ended = typeof outcome === 'string' ? outcome : (outcome.code ?? 'accepted');
    tally.ended[trial.kind] ??= {};
    const count = tally.ended[trial.kind]!;
    count[ended] = (count[ended] ?? 0) + 1;
    if (fault) tally.faults.push({ ...trial, what, fault });
    if (typeof outcome === 'string') child = null;
  }
  child?.disconnect();
}

async function start(argument: string): Promise<ChildProcess> {
  const child = fork(join(__dirname, 'trial-process.ts'), [argument], {
    execArgv: ['-r', join(__dirname, '../../scripts/lib/ts-register.js')],
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  await new Promise((resolve, reject) => {
    child.once('message', resolve);
    child.once('exit', () => reject(new Error('the process of the trials does not start')));
  });
  child.removeAllListeners();
  return child;
}

/** What the child said, or how it ended. */
function outcomeOf(child: ChildProcess, trial: Trial): Promise<Outcome | string> {
  return new Promise((resolve) => {
    const started = performance.now();
    const busy = processorSeconds(child);
    const timer = setInterval(() => {
      const seconds = (performance.now() - started) / 1000;
      const worked = processorSeconds(child) - busy;
      if (seconds < STUCK_SECONDS && Math.min(seconds, worked) < HANG_SECONDS) return;
      finish('hang');
      child.kill('SIGKILL');
    }, LOOK_MS);
    const onExit = (code: number | null, signal: string | null) =>
      finish(`crash: ${signal ?? code}`);
    const finish = (outcome: Outcome | string) => {
      clearInterval(timer);
      child.off('message', finish);
      child.off('exit', onExit);
      resolve(outcome);
    };
    child.on('message', finish);
    child.on('exit', onExit);
    child.send(trial);
  });
}

function faultOf({ stack, peak, bytes }: Outcome): string | null {
  if (stack) return `without a code: ${stack}`;
  if (peak > LEAST_BYTES + BYTES_PER_BYTE * bytes) {
    return `takes ${Math.round(peak / 2 ** 20)} MiB for ${bytes} bytes`;
  }
  return null;
}

function processorSeconds({ pid }: ChildProcess): number {
  if (process.platform !== 'linux') return Number.POSITIVE_INFINITY;
  try {
    // The name may hold spaces; behind it come state, 10 others, user and system time.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS;
  } catch {
    return 0; // it has just ended
  }
}
