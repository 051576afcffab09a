/** Llama 3's stretch of rotary frequencies as a table of divisors, which is how GGUF has it. */
import { native } from '../engine/native';
import type { Rope } from '../model/sublayers';

type Llama3 = NonNullable<Rope['llama3']>;

/** Angle step of every rotary pair before any stretch: theta^(-2i/headDim). */
function frequencies(theta: number, headDim: number): number[] {
  const pairs = { length: headDim / 2 };
  return [
    ...native.pow(
      theta,
      Float64Array.from(pairs, (_, pair) => (-2 * pair) / headDim),
    ),
  ];
}

/**
 * Divisors of the rotary frequencies, as GGUF's rope_freqs.weight stores them. Llama 3's rule: wave
 * lengths under original ÷ high stay, those over original ÷ low are stretched by `factor`, and between
 * them the frequency is interpolated.
 */
export function llama3Factors(rope: Llama3, theta: number, headDim: number): Float32Array {
  const { factor, lowFreqFactor: low, highFreqFactor: high, originalMaxPositions } = rope;
  return Float32Array.from(frequencies(theta, headDim), (frequency) => {
    const waves = (originalMaxPositions * frequency) / (2 * Math.PI);
    if (waves > high) return 1;
    if (waves < low) return factor;
    const smooth = (waves - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

/**
 * The Llama 3 parameters behind a table of divisors; GGUF keeps only the table, config.json only the
 * parameters. Low and high factor can be told apart from the original length only up to a common
 * scale, so low = 1, and high = 4 (every published model) is tried before a high that fits two entries.
 * @returns null when no parameters give the table
 */
export function llama3FromFactors(
  factors: Float32Array,
  theta: number,
  headDim: number,
): Llama3 | null {
  const factor = Math.max(...factors);
  const between = frequencies(theta, headDim)
    .map((frequency, pair) => ({ frequency, smooth: smoothOf(factors[pair]!, factor) }))
    .filter(({ smooth }) => smooth > 1e-5 && smooth < 1 - 1e-5);
  const candidates = [4];
  if (between.length > 1) {
    // smooth = (waves − 1) / (high − 1) and waves is proportional to the frequency.
    const [a, b] = [between[0]!, between[between.length - 1]!];
    const ratio = a.frequency / b.frequency;
    candidates.push(1 + (ratio - 1) / (a.smooth - ratio * b.smooth));
  }
  for (const high of candidates) {
    const anchor = between[0];
    if (anchor === undefined) return null;
    const waves = 1 + anchor.smooth * (high - 1);
    const rope: Llama3 = {
      factor,
      lowFreqFactor: 1,
      highFreqFactor: high,
      originalMaxPositions: Math.round((2 * Math.PI * waves) / anchor.frequency),
    };
    if (sameTable(llama3Factors(rope, theta, headDim), factors)) return rope;
  }
  return null;
}

/** Whether from-gguf.ts takes such a table. */
export function isReadable(factors: Float32Array, theta: number, headDim: number): boolean {
  return stretchesNothing(factors, headDim) || llama3FromFactors(factors, theta, headDim) !== null;
}

export function stretchesNothing(factors: Float32Array, headDim: number): boolean {
  return factors.length === headDim / 2 && factors.every((value) => value === 1);
}

function smoothOf(divisor: number, factor: number): number {
  return (1 / divisor - 1 / factor) / (1 - 1 / factor);
}

function sameTable(made: Float32Array, given: Float32Array): boolean {
  return (
    made.length === given.length &&
    made.every((value, pair) => Math.abs(value - given[pair]!) <= 1e-4 * value)
  );
}
