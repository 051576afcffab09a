/** Values that a pass has for every token of whole windows; NaN stands where a token has none. */
import { native } from './native';

/** Their mean, one batch after the other, in the order of every sum over tokens (docs/decisions/0029). */
export function meanOfTokens(batches: readonly Float64Array[], window: number): number {
  const count = batches.reduce((sum, { length }) => sum + length, 0);
  const values = new Float64Array(count);
  let at = 0;
  for (const batch of batches) {
    values.set(batch, at);
    at += batch.length;
  }
  const known = values.reduce((sum, value) => sum + (Number.isNaN(value) ? 0 : 1), 0);
  return native.sumOfTokens(values, window) / known;
}
