/** One run at a time works on an output: a file in its journal names the process. */
import { readFileSync } from 'node:fs';
import { readFile, unlink, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { StruPruneError } from '../../errors';

export const LOCK = 'lock.json';

interface Holder {
  pid: number;
  host: string;
  /** When the process began, in the system's own count: pids come again. null where the system does not say. */
  start: string | null;
}

/** @throws StruPruneError ERR_OUTPUT while another run lives that has the lock */
export async function takeLock(folder: string): Promise<void> {
  await requireUnlocked(folder);
  const { pid } = process;
  const holder: Holder = { pid, host: hostname(), start: startOf(pid) };
  try {
    await writeFile(join(folder, LOCK), `${JSON.stringify(holder)}\n`, { flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    // Another run was faster.
    await requireUnlocked(folder);
    throw error;
  }
}

/** Removes a lock whose process is gone. @throws StruPruneError ERR_OUTPUT where it may be at work */
export async function requireUnlocked(folder: string): Promise<void> {
  const path = join(folder, LOCK);
  const holder = await holderOf(path);
  if (holder === undefined) return;
  if (holder !== null && mayLive(holder)) {
    throw new StruPruneError(
      'ERR_OUTPUT',
      `process ${holder.pid} on ${holder.host} is writing this output`,
      `wait for it or give another path; if that run is over, remove ${path}`,
    );
  }
  await unlink(path);
}

/** undefined: no lock; null: one that was not written to its end. */
async function holderOf(path: string): Promise<Holder | null | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Holder;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function mayLive({ pid, host, start }: Holder): boolean {
  if (host !== hostname()) return true;
  try {
    process.kill(pid, 0);
  } catch (error) {
    // Not ours to signal, but there.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return start === startOf(pid);
}

/** Linux: ticks between the system's start and the process's. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in brackets may have spaces; the start is the 22nd field, the 20th after it.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}
