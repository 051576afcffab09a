/** Hidden states twice, where one of both goes on. */
import type { Matrix } from '../../engine/matrix';
import { orDispose } from '../../engine/owned';
import type { Session } from '../../engine/session';

/** `scratch`: folder of the copy; '' = in memory. */
export async function copyOf(session: Session, states: Matrix, scratch: string): Promise<Matrix> {
  const copy = session.matrixBeside(states, states.cols, scratch);
  return orDispose(copy, async () => {
    await states.copyTo(copy);
    return copy;
  });
}
