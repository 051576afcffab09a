/** Folders of benchmarks for files that nobody keeps. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { StruPruneError } from '../errors';
import { requireFolder } from '../models/decoders/room';

/**
 * Gives `use` a folder in `parent` that goes with its end. Folders of processes of this host that ended without
 * removing theirs, by SIGKILL, go first. @throws StruPruneError ERR_SCRATCH; whatever `use` throws
 */
export async function withScratch<T>(
  parent: string,
  use: (folder: string) => Promise<T>,
): Promise<T> {
  const stem = `struprune-bench-${hostname()}-`;
  await removeAbandoned(parent, stem);
  await requireFolder(parent);
  const folder = await mkdtemp(join(parent, `${stem}${process.pid}-`)).catch((cause: Error) => {
    throw new StruPruneError(
      'ERR_SCRATCH',
      `no folder can be made in ${parent} for scratch files: ${cause.message}`,
      'name another with --scratch',
      { cause },
    );
  });
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function removeAbandoned(parent: string, stem: string): Promise<void> {
  const names = await readdir(parent).catch(() => []);
  for (const name of names) {
    const pid = name.startsWith(stem) ? /^(\d+)-\w+$/.exec(name.slice(stem.length))?.[1] : null;
    if (!pid || isAlive(Number(pid))) continue;
    await rm(join(parent, name), { recursive: true, force: true }).catch(() => {});
  }
}

/** Of another user too. */
function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
