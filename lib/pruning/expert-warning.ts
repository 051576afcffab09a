import type { LayerStats } from './result';

/** Tokens below which the mean of what an expert adds says little. */
const FEW = 16;

/** One warning of all experts that calibration hardly reached; none where there are no such. */
export function expertWarnings(stats: readonly LayerStats[]): string[] {
  const places = stats.flatMap(({ index, expertTokens }) => {
    const rare = [...(expertTokens ?? []).keys()].filter((j) => expertTokens![j]! < FEW);
    return rare.length > 0 ? [`${rare.join(', ')} of block ${index}`] : [];
  });
  if (places.length === 0) return [];
  return [
    `fewer than ${FEW} calibration tokens were routed to experts ${places.join('; ')}: more of them (--calibration-tokens), or text of more kinds, would say what these are worth`,
  ];
}
