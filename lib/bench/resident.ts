/** Largest resident size of a process, where the system tells (Linux). */
import { readFileSync, writeFileSync } from 'node:fs';

/** Forgets this process's peak so far; false where the system cannot. */
export function resetPeak(): boolean {
  try {
    writeFileSync('/proc/self/clear_refs', '5');
    return true;
  } catch {
    return false;
  }
}

/** Of a process, bytes. */
export function peakOf(pid: number | 'self'): number | null {
  try {
    const found = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return found ? Number(found[1]) * 1024 : null;
  } catch {
    return null;
  }
}
