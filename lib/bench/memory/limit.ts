/** Control groups that hold a run to a limit of memory, where this user can make them (Linux, as root). */
import { existsSync, mkdtempSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Files of the two versions of control groups. */
const VERSIONS = [
  {
    root: '/sys/fs/cgroup/memory',
    limit: 'memory.limit_in_bytes',
    peak: 'memory.max_usage_in_bytes',
    events: 'memory.oom_control',
  },
  { root: '/sys/fs/cgroup', limit: 'memory.max', peak: 'memory.peak', events: 'memory.events' },
];
/** `sh -c` with the group's list of processes as the first word: joins it, then becomes the program. */
const JOIN = 'echo $$ > "$0" && exec "$@"';

export interface MemoryLimit {
  readonly bytes: number;
  /** The command that runs `command` in the group. */
  within(command: readonly string[]): string[];
  /** Most that the kernel charged, its cache of files included; null where it does not tell. */
  chargedBytes(): number | null;
  /** Whether a process was killed for the limit. */
  exceeded(): boolean;
  /** The empty group goes. */
  remove(): void;
}

/** A group in which programs together get no more than `bytes`; null where none can be made. */
export function memoryLimit(bytes: number): MemoryLimit | null {
  const version = VERSIONS.find(({ root }) => existsSync(join(root, 'cgroup.procs')));
  if (!version) return null;
  const group = madeIn(version.root);
  if (group === null) return null;
  const remove = () => {
    try {
      rmdirSync(group);
    } catch {
      // A process of it that is still ending keeps it; the kernel's memory for it is small.
    }
  };
  try {
    writeFileSync(join(group, version.limit), String(Math.floor(bytes)));
  } catch {
    remove();
    return null;
  }
  return {
    bytes,
    within: (command) => ['/bin/sh', '-c', JOIN, join(group, 'cgroup.procs'), ...command],
    chargedBytes: () => Number(read(join(group, version.peak)).trim()) || null,
    exceeded: () => /^oom_kill [1-9]/m.test(read(join(group, version.events))),
    remove,
  };
}

function madeIn(root: string): string | null {
  try {
    return mkdtempSync(join(root, 'struprune-bench-'));
  } catch {
    return null;
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
