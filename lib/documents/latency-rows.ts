/** `bench latency` as rows, the dense model first. */
import type { BenchLatency } from './bench';

export interface LatencyRow {
  /** `all`, or the site that is narrower. */
  site: string;
  /** That stay in every block, and that there were; null of the whole model. */
  units: number | null;
  of: number | null;
  /** Milliseconds a token, and how many times as fast as the dense model that is. */
  prompt: number;
  promptFaster: number;
  generation: number | null;
  generationFaster: number | null;
}

export function latencyRows({ dense, rows, units }: BenchLatency): LatencyRow[] {
  const all = { ...dense, site: 'all', units: null };
  return [all, ...rows].map(({ site, units: kept, prompt, generation }) => ({
    site,
    units: kept,
    of: kept === null ? null : units[site]!,
    prompt: 1e3 * prompt,
    promptFaster: dense.prompt / prompt,
    generation: generation && 1e3 * generation,
    generationFaster: generation && dense.generation! / generation,
  }));
}
