/** Memory of a process and all its children, seen from outside. */
import { readdirSync, readFileSync } from 'node:fs';

/**
 * Sum of the proportional set sizes: pages that several processes share count once in all. Pages of mapped files count
 * while they are mapped and in memory; the kernel's cache of files that were read does not. null where the system does not
 * tell (no /proc).
 */
export function treeBytes(pid: number): number | null {
  const own = proportional(pid);
  if (own === null) return null;
  return childrenOf(pid).reduce((sum, child) => sum + (treeBytes(child) ?? 0), own);
}

function proportional(pid: number): number | null {
  const found = /^Pss:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/smaps_rollup`));
  return found ? Number(found[1]) * 1024 : null;
}

/** A child belongs to the thread that made it. */
function childrenOf(pid: number): number[] {
  return threadsOf(pid).flatMap((thread) => {
    const words = read(`/proc/${pid}/task/${thread}/children`).trim();
    return words === '' ? [] : words.split(' ').map(Number);
  });
}

function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
