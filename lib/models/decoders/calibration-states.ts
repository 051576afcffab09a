import { cutWindows } from '../../calibration/cut-windows';
import type { TeamHandle } from '../../engine/handles';
import type { Matrix } from '../../engine/matrix';
import type { Session } from '../../engine/session';

/**
 * Hidden states of the calibration tokens before block 0, some windows cut. `scratch`: folder of them; '' = in memory. `team`: whose
 * ranks share them.
 */
export function calibrationStates(
  session: Session,
  ids: Int32Array,
  window: number,
  scratch: string,
  team: TeamHandle | null = null,
): Promise<Matrix> {
  const cut = cutWindows(ids.length, window);
  return session.embed(ids, window, 'calibrating', scratch, cut, team);
}
