/** `bench masks` in a few numbers: every search against the first one. */
import type { BenchMasks } from './bench';

export interface SearchSummary {
  search: string;
  label: string;
  share: number;
  sites: number;
  /** Geometric mean over the sites of error ÷ the first search's error, and the largest. */
  ratio: number;
  worst: number;
  /** Sites where no search is better. */
  best: number;
  /** Of all sites. */
  seconds: number;
  swaps: number | null;
  /** Sites where ADMM came to rest; null for other searches. */
  settled: number | null;
}

/** One line a share and search. Sites that nothing disturbs (error 0 with the first search) are left out. */
export function summariseMasks({ sites, searches }: BenchMasks): SearchSummary[] {
  const shares = [...new Set(sites.map(({ share }) => share))];
  return shares.flatMap((share) => {
    const mine = sites
      .filter((site) => site.share === share)
      .map(({ results }) => new Map(results.map((result) => [result.search, result])))
      .filter((results) => results.get(searches[0]!.id)!.relativeError > 0);
    return searches.map(({ id, label }) => {
      const results = mine.map((site) => site.get(id)!);
      const ratios = mine.map(
        (site) => site.get(id)!.relativeError / site.get(searches[0]!.id)!.relativeError,
      );
      const least = mine.map((site) =>
        Math.min(...[...site.values()].map(({ relativeError }) => relativeError)),
      );
      const admm = results.flatMap((result) => result.admm ?? []);
      const swaps = results.flatMap((result) => result.swaps ?? []);
      return {
        search: id,
        label,
        share,
        sites: mine.length,
        ratio: Math.exp(sum(ratios.map(Math.log)) / ratios.length),
        worst: Math.max(...ratios),
        best: results.filter(({ relativeError }, i) => relativeError === least[i]).length,
        seconds: sum(results.map(({ seconds }) => seconds)),
        swaps: swaps.length ? sum(swaps) : null,
        settled: admm.length ? admm.filter(({ converged }) => converged).length : null,
      };
    });
  });
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
