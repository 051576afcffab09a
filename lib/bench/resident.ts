/** Largest resident size of this process since a moment of one's choice, where the system tells (Linux). */
import { readFileSync, writeFileSync } from 'node:fs';

/** Forgets the peak so far; false where the system cannot. */
export function resetPeak(): boolean {
  try {
    writeFileSync('/proc/self/clear_refs', '5');
    return true;
  } catch {
    return false;
  }
}

/** Bytes. */
export function peakSinceReset(): number | null {
  try {
    const found = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'));
    return found ? Number(found[1]) * 1024 : null;
  } catch {
    return null;
  }
}
