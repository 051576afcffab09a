/** Tensors whose stored values are not those that compute: norms less 1, output maps without a multiplier, decays as rates. */
import type { Architecture, Stored, TensorRef } from './architecture';
import { isNorm } from './sublayers';

export type Scales = Pick<Stored, 'normOffset' | 'outputScale' | 'finalNormScale' | 'decayAsRate'>;

/** What every file of such a model is stored divided by. */
export function scalesOf({
  outputScale,
  logitScale,
}: Pick<Architecture, 'outputScale' | 'logitScale'>): Pick<
  Scales,
  'outputScale' | 'finalNormScale'
> {
  return { outputScale, finalNormScale: logitScale };
}

/** How the values of a tensor come of the stored ones: nothing where they are those. */
export function scalingOf(
  role: string,
  stored: Scales,
): Pick<TensorRef, 'times' | 'plus' | 'asRate'> {
  if (role === 'delta.decay') return stored.decayAsRate ? { asRate: true } : {};
  const times = timesOf(role, stored);
  const plus = isNorm(role) ? stored.normOffset : 0;
  return { ...(times !== 1 && { times }), ...(plus !== 0 && { plus }) };
}

/** The reference of a tensor whose values are those that such an output stores of it. */
export function asStored(ref: TensorRef, role: string, stored: Scales): TensorRef {
  const { times = 1, plus = 0 } = scalingOf(role, stored);
  return { ...ref, times: (ref.times ?? 1) / times, plus: ((ref.plus ?? 0) - plus) / times };
}

function timesOf(role: string, { outputScale, finalNormScale }: Scales): number {
  if (role === 'finalNorm') return finalNormScale;
  return /\.out(Bias)?$/.test(role) ? outputScale : 1;
}
