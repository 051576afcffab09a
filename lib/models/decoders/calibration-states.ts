import { cutWindows } from '../../calibration/cut-windows';
import type { Matrix } from '../../engine/matrix';
import type { Session } from '../../engine/session';

/** Hidden states of the calibration tokens before block 0, some windows cut. `scratch`: folder of them; '' = in memory. */
export function calibrationStates(
  session: Session,
  ids: Int32Array,
  window: number,
  scratch: string,
): Promise<Matrix> {
  return session.embed(ids, window, 'calibrating', scratch, cutWindows(ids.length, window));
}
