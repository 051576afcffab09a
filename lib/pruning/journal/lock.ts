/** One run at a time works on an output: it keeps a file in its journal locked, which names the process. */
import { readFileSync } from 'node:fs';
import { type FileHandle, open, rm, rmdir, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeFolder } from '../../checkpoint/output-path';
import { native } from '../../engine/native';
import { StruPruneError } from '../../errors';
import { isObject } from '../../json-object';

export const LOCK = 'lock.json';

interface Holder {
  pid: number;
  host: string;
  /** The system's own name of its start; null where it has none. Containers of one machine share it. */
  boot: string | null;
}

/** How long a holder is given to write its name, in milliseconds. */
const PATIENCE = 2000;
/** Runs that end meanwhile may remove the folder, each time another one. */
const ATTEMPTS = 100;

export interface LockOptions {
  /** Take a lock too of which only its holder's machine could say whether it still lives. */
  force: boolean;
}

/** A journal's lock. The system ends it with the process, or with the worker thread, that has it. */
export class Lock {
  private constructor(
    private readonly folder: string,
    private readonly file: FileHandle,
  ) {}

  /**
   * Makes a journal's folder where there is none, and takes its lock: of any number of runs one does.
   * @throws StruPruneError ERR_OUTPUT while another run lives that has the lock
   */
  static async take(folder: string, options: LockOptions): Promise<Lock> {
    for (let attempt = 1; ; attempt++) {
      await makeFolder(folder);
      try {
        const file = await lockedFile(join(folder, LOCK), options);
        if (file) return new Lock(folder, file);
      } catch (error) {
        // Whoever had the lock has cleared the folder away.
        if (!isCode(error, 'ENOENT') || attempt === ATTEMPTS) throw error;
      }
    }
  }

  /** Lets the lock go, and the folder where it holds nothing else. */
  async release(): Promise<void> {
    await rm(join(this.folder, LOCK), { force: true });
    await this.file.close();
    try {
      await rmdir(this.folder);
    } catch (error) {
      if (!isCode(error, 'ENOTEMPTY', 'EEXIST', 'ENOENT')) throw error;
    }
  }
}

/** The file at `path`, locked and with this process's name in it; null where another one has come to lie there. */
async function lockedFile(path: string, { force }: LockOptions): Promise<FileHandle | null> {
  const { file, made } = await openOrMake(path);
  try {
    const lock = native.lockFile(file.fd);
    if (lock === 'held') throw heldBy(await settled(file), path, WAIT);
    if (!(await isAt(file, path))) {
      await file.close();
      return null;
    }
    const holder = made ? null : parsed(await contentOf(file));
    if (holder && !force && (lock === 'unknown' || isElsewhere(holder))) {
      throw heldBy(
        holder,
        path,
        'if that run is over, give --force (with --resume, to go on with it)',
      );
    }
    const own: Holder = { pid: process.pid, host: hostname(), boot: bootOf() };
    await file.truncate();
    await file.write(`${JSON.stringify(own)}\n`, 0);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function openOrMake(path: string): Promise<{ file: FileHandle; made: boolean }> {
  try {
    return { file: await open(path, 'wx+'), made: true };
  } catch (error) {
    if (!isCode(error, 'EEXIST')) throw error;
    return { file: await open(path, 'r+'), made: false };
  }
}

/** Whether an open file lies at `path`: one that was waiting to be removed does not. */
async function isAt(file: FileHandle, path: string): Promise<boolean> {
  const own = await file.stat({ bigint: true });
  const there = await stat(path, { bigint: true });
  return own.ino === there.ino && own.dev === there.dev;
}

const WAIT = 'wait for it or give another path';

/** Whoever has the lock, once its name is written; null where it never is. */
async function settled(file: FileHandle): Promise<Holder | null> {
  const start = performance.now();
  for (;;) {
    const holder = parsed(await contentOf(file));
    if (holder || performance.now() - start > PATIENCE) return holder;
    await sleep(50);
  }
}

async function contentOf(file: FileHandle): Promise<string> {
  const bytes = Buffer.alloc(4096);
  const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
  return bytes.toString('utf8', 0, bytesRead);
}

/** null: not written to its end. */
function parsed(text: string): Holder | null {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? (value as unknown as Holder) : null;
  } catch {
    return null;
  }
}

function heldBy(holder: Holder | null, path: string, mend: string): StruPruneError {
  const who = holder ? `process ${holder.pid} on ${holder.host}` : `whoever has locked ${path}`;
  return new StruPruneError('ERR_OUTPUT', `${who} is writing this output`, mend);
}

/** Of another machine's run the system may know nothing. */
function isElsewhere({ host, boot }: Holder): boolean {
  return host !== hostname() && (boot === null || boot !== bootOf());
}

function bootOf(): string | null {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return null;
  }
}

function isCode(error: unknown, ...codes: string[]): boolean {
  return codes.includes((error as NodeJS.ErrnoException).code ?? '');
}
