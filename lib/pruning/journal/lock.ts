/** One run at a time works on an output: a file in its journal names the process. */
import { createHash, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import {
  constants,
  copyFile,
  link,
  readFile,
  rename,
  rm,
  rmdir,
  writeFile,
} from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeFolder } from '../../checkpoint/output-path';
import { StruPruneError } from '../../errors';

export const LOCK = 'lock.json';

interface Holder {
  pid: number;
  host: string;
  /** When the process began, in the system's own count: pids come again. null where the system does not say. */
  start: string | null;
  /** Tells the runs of one process apart. */
  run: string;
}

/** How long a lock that cannot be read is taken for one that is being written, in milliseconds. */
const PATIENCE = 2000;
/** Runs that end meanwhile may remove the folder, each time another one. */
const ATTEMPTS = 100;

/**
 * Makes a journal's folder where there is none, and takes its lock: of any number of runs one does. It is written under a
 * name of its own and linked to the lock's, so that nobody reads half of one.
 * @throws StruPruneError ERR_OUTPUT while another run lives that has the lock
 */
export async function takeLock(folder: string): Promise<void> {
  const { pid } = process;
  const run = randomUUID();
  const holder: Holder = { pid, host: hostname(), start: startOf(pid), run };
  const own = join(folder, `lock-${run}.json`);
  for (let attempt = 1; ; attempt++) {
    await makeFolder(folder);
    try {
      await writeFile(own, `${JSON.stringify(holder)}\n`, { flag: 'wx' });
      await take(join(folder, LOCK), own);
      return await rm(own, { force: true });
    } catch (error) {
      await removeWith(own);
      // Whoever had the lock has cleared the folder away.
      if (!isCode(error, 'ENOENT') || attempt === ATTEMPTS) throw error;
    }
  }
}

/** Lets the lock go, and the folder where it holds nothing else. */
export function releaseLock(folder: string): Promise<void> {
  return removeWith(join(folder, LOCK));
}

/** Removes a file, and its folder where that is empty then. */
async function removeWith(path: string): Promise<void> {
  await rm(path, { force: true });
  try {
    await rmdir(dirname(path));
  } catch (error) {
    if (!isCode(error, 'ENOTEMPTY', 'EEXIST', 'ENOENT')) throw error;
  }
}

/**
 * Puts `own` at `path`. Of those who find there what a dead process has left, the one goes on that puts `own` at a
 * name made of it; by then somebody else may have done so, and be at work.
 */
async function take(path: string, own: string): Promise<void> {
  while (!(await linked(own, path))) {
    const text = await settled(path);
    if (text === null) continue;
    const holder = parsed(text);
    if (holder && mayLive(holder)) throw heldBy(holder, path);
    const claim = join(dirname(path), `lock-${digest(text)}.json`);
    await take(claim, own);
    if ((await contentOf(path)) === text) return rename(claim, path);
    await rm(claim, { force: true });
  }
}

/** Whether `path` was free, and is `own` now. */
async function linked(own: string, path: string): Promise<boolean> {
  try {
    await link(own, path).catch((error) => {
      // exFAT and some network file systems have no links: readers have patience with what is half written.
      if (!isCode(error, 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS')) throw error;
      return copyFile(own, path, constants.COPYFILE_EXCL);
    });
    return true;
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false;
    throw error;
  }
}

/** A lock's content, once it can be read or will not be; null where it has gone. */
async function settled(path: string): Promise<string | null> {
  const start = performance.now();
  for (;;) {
    const text = await contentOf(path);
    if (text === null || parsed(text) || performance.now() - start > PATIENCE) return text;
    await sleep(50);
  }
}

async function contentOf(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isCode(error, 'ENOENT')) return null;
    throw error;
  }
}

/** null: not written to its end. */
function parsed(text: string): Holder | null {
  try {
    return JSON.parse(text) as Holder | null;
  } catch {
    return null;
  }
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}

function heldBy({ pid, host }: Holder, path: string): StruPruneError {
  return new StruPruneError(
    'ERR_OUTPUT',
    `process ${pid} on ${host} is writing this output`,
    `wait for it or give another path; if that run is over, remove ${path}`,
  );
}

function mayLive({ pid, host, start }: Holder): boolean {
  if (host !== hostname()) return true;
  try {
    process.kill(pid, 0);
  } catch (error) {
    // Not ours to signal, but there.
    if (!isCode(error, 'EPERM')) return false;
  }
  return start === startOf(pid);
}

/**
 * Linux: ticks between the system's start and the process's, and `dead` where that has ended and nobody has asked how yet;
 * null elsewhere, and where there is none.
 */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in brackets may have spaces; the state follows it, and the start is the 22nd field, the 20th after it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? 'dead' : (fields[19] ?? null);
  } catch {
    return null;
  }
}

function isCode(error: unknown, ...codes: string[]): boolean {
  return codes.includes((error as NodeJS.ErrnoException).code ?? '');
}
