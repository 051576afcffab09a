/**
 * Some of the windows that calibrate are cut into short sequences, so that sums see many first tokens and not one a window
 * (docs/decisions/0050). What a model makes of a first token, which all later ones attend to, hangs on that token alone.
 */
import type { CutWindows } from '../engine/native-ends';

/** One window of so many is cut; of few windows one. */
const EVERY = 8;
/** Tokens of a sequence at most. */
const TOKENS = 16;
/** Shorter windows have first tokens enough. */
const LEAST_WINDOW = 128;
/** Of fewer windows all are needed. */
const LEAST_WINDOWS = 4;

/** Of `tokens` calibration tokens in whole windows; undefined: none is cut. */
export function cutWindows(tokens: number, window: number): CutWindows | undefined {
  const windows = tokens / window;
  if (window < LEAST_WINDOW || windows < LEAST_WINDOWS) return undefined;
  return { every: Math.min(EVERY, windows), tokens: sequence(window) };
}

/** Of the windows of a trial every fourth or, where they are fewer, the last. Trials lie one behind the other, each with as many. */
export function cutTrial(tokens: number, window: number): CutWindows | undefined {
  const every = [4, 3, 2].find((count) => (tokens / window) % count === 0);
  if (window < LEAST_WINDOW || every === undefined) return undefined;
  return { every, tokens: sequence(window) };
}

/** The longest that a window has a whole number of. */
function sequence(window: number): number {
  let tokens = TOKENS;
  while (window % tokens !== 0) tokens -= 1;
  return tokens;
}
