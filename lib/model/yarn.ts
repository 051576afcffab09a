import type { Architecture } from './architecture';
import type { Rope } from './sublayers';

type Yarn = NonNullable<Rope['yarn']>;

/** The same rope as native code has it: a yarn's as its divisors, for windows of any length. */
export function turning({ yarn, ...rope }: Rope, headDim: number): Rope {
  if (!yarn) return rope;
  const divisors = yarnDivisors(yarn, rope.theta, rope.dims ?? headDim);
  const { originalMaxPositions, attentionFactor } = yarn;
  return {
    ...rope,
    longrope: { short: divisors, long: divisors, originalMaxPositions, attentionFactor },
  };
}

/** As transformers' _compute_yarn_parameters has them; `dims` turn. */
function yarnDivisors(yarn: Yarn, theta: number, dims: number): number[] {
  const { factor, originalMaxPositions, betaFast, betaSlow, truncate } = yarn;
  /** The pair, not whole, that turns so many times over the original positions. */
  const pairOf = (turns: number) =>
    (dims * Math.log(originalMaxPositions / (2 * Math.PI * turns))) / (2 * Math.log(theta));
  const [fast, slow] = [pairOf(betaFast), pairOf(betaSlow)];
  const low = Math.max(truncate ? Math.floor(fast) : fast, 0);
  const high = Math.min(truncate ? Math.ceil(slow) : slow, dims - 1);
  return Array.from({ length: dims / 2 }, (_, pair) => {
    const ramp = (pair - low) / (high === low ? 0.001 : high - low);
    const slowed = Math.min(1, Math.max(0, ramp));
    return 1 / (slowed / factor + 1 - slowed);
  });
}

/** Positions up to which the arithmetic here is the model's: not those at which queries grow. */
export function heldPositions({
  maxPositions,
  rope,
}: Pick<Architecture, 'maxPositions' | 'rope'>): number {
  const { growth, originalMaxPositions = maxPositions } = rope?.yarn ?? {};
  return growth ? Math.min(maxPositions, originalMaxPositions) : maxPositions;
}

/** What yarn scales by where a file does not say. */
export function yarnAttention(factor: number, share = 1): number {
  return factor > 1 ? 0.1 * share * Math.log(factor) + 1 : 1;
}
