import { median } from '../median';
import type { LayerStats } from './result';

/** Tokens below which the mean of what an expert adds says little. */
export const FEW = 16;

/** How many calibration tokens the experts of a block were routed. */
export interface RoutedTokens {
  index: number;
  experts: number;
  least: number;
  median: number;
  most: number;
  /** Experts that fewer than 16 reached, by number. */
  rare: number[];
}

/** Of every block whose experts lose something. */
export function routedTokens(stats: readonly LayerStats[]): RoutedTokens[] {
  return stats.flatMap(({ index, expertTokens }) =>
    expertTokens === null ? [] : [{ index, ...spreadOf(expertTokens) }],
  );
}

/** Of all experts together; null where none loses anything. */
export function routedInAll(
  stats: readonly LayerStats[],
): Omit<RoutedTokens, 'index' | 'rare'> | null {
  const all = stats.flatMap(({ expertTokens }) => expertTokens ?? []);
  return all.length > 0 ? spreadOf(all) : null;
}

function spreadOf(tokens: readonly number[]): Omit<RoutedTokens, 'index'> {
  return {
    experts: tokens.length,
    least: Math.min(...tokens),
    median: median(tokens),
    most: Math.max(...tokens),
    rare: [...tokens.keys()].filter((expert) => tokens[expert]! < FEW),
  };
}

/** One warning of all experts that calibration hardly reached; none where there are no such. */
export function expertWarnings(stats: readonly LayerStats[]): string[] {
  const places = routedTokens(stats).flatMap(({ index, rare }) =>
    rare.length > 0 ? [`${rare.join(', ')} of block ${index}`] : [],
  );
  if (places.length === 0) return [];
  return [
    `fewer than ${FEW} calibration tokens were routed to experts ${places.join('; ')}: more of them (--calibration-tokens), or text of more kinds, would say what these are worth`,
  ];
}
