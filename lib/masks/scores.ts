/**
 * One-shot scores of groups, for methods and for masks that are refitted. Of two norms of the same thing the name says
 * which: l1 sums absolute values over the outputs, l2 squares.
 */
import { StruPruneError } from '../errors';
import { momentsOf, type SiteStatistics, sumOverGroups } from './statistics';

export interface Score {
  /** Where it was published, for reports. */
  source: string;
  /** What it reads: the weights alone, or moments of the inputs too. */
  statistics: 'none' | 'diagonal';
  /** `[groups]`, higher = keep. Comparable within the site only. */
  of(site: SiteStatistics): Float64Array;
}

/**
 * Rows of gate, up, q, k and v do not count: their scale is free against that of the output columns (ReLU, up and v are
 * linear in it), so a norm over both would compare unlike things.
 */
export const SCORES = {
  'magnitude-l1': {
    source: 'mean absolute weight of the output map by column',
    statistics: 'none',
    of: ({ weightAbsMean, groupSize }) => sumOverGroups(weightAbsMean, groupSize),
  },
  'magnitude-l2': {
    source: 'column norms of the output map, as in arXiv 2312.11983',
    statistics: 'none',
    of: ({ weightNormSq, groupSize }) => sumOverGroups(weightNormSq.map(Math.sqrt), groupSize),
  },
  /** Mean over the outputs i of |W_ij| · ‖X_j‖₂ (WIFN of FLAP's program). */
  'wanda-l1': {
    source: 'arXiv 2306.11695, structured as in arXiv 2312.11983',
    statistics: 'diagonal',
    of: (site) => {
      const { second, tokens } = momentsOf(site);
      const scores = site.weightAbsMean.map((weight, j) => weight * Math.sqrt(second[j]! * tokens));
      return sumOverGroups(scores, site.groupSize);
    },
  },
  /** ‖W_j‖² · mean(x_j²): |W_ij| · ‖X_j‖₂ squared and summed, what the group adds to ‖Y‖² were its inputs independent. */
  'wanda-l2': {
    source: 'arXiv 2306.11695, squared and summed over the outputs',
    statistics: 'diagonal',
    of: (site) => {
      const { second } = momentsOf(site);
      return sumOverGroups(
        site.weightNormSq.map((normSq, j) => normSq * second[j]!),
        site.groupSize,
      );
    },
  },
  /** Σ over the outputs i of (|W_ij| ÷ Σ_i |W_ij| + |W_ij| ÷ Σ_k |W_ik|) · (mean of x_j²)^½. */
  ria: {
    source: 'relative importance and activations of arXiv 2402.09025, as arXiv 2510.03291 has it',
    statistics: 'diagonal',
    of: (site) => {
      const { second } = momentsOf(site);
      const scores = site.weightShare.map(
        (share, j) => (site.weightAbsMean[j]! > 0 ? 1 + share : 0) * Math.sqrt(second[j]!),
      );
      return sumOverGroups(scores, site.groupSize);
    },
  },
  fluctuation: {
    source: 'arXiv 2312.11983',
    statistics: 'diagonal',
    of: (site) => meanOverGroups(fluctuations(site), site.groupSize),
  },
} as const satisfies Record<string, Score>;

export type ScoreName = keyof typeof SCORES;

export const SCORE_NAMES = Object.keys(SCORES) as ScoreName[];

/** How late a group goes in the order that a survey found for all layers: of one layer by itself there is none. */
export const ORDER = {
  of: ({ order }: SiteStatistics): Float64Array => {
    if (order) return order;
    throw new StruPruneError('ERR_INTERNAL', 'this score needs the order in which groups go');
  },
};

/** The score of a recipe whose statistics are for scores alone. */
export function scoreOf(search: unknown): Pick<Score, 'of'> {
  if (search === 'order') return ORDER;
  const score = SCORE_NAMES.find((name) => name === search);
  if (score) return SCORES[score];
  throw new StruPruneError('ERR_INTERNAL', `${search} scores no groups`);
}

/** `[in]` FLAP's WIFV: the unbiased variance of x_j (n − 1) times ‖W_j‖². */
export function fluctuations(site: SiteStatistics): Float64Array {
  const { second, mean, tokens } = momentsOf(site);
  const unbiased = tokens / Math.max(1, tokens - 1);
  return site.weightNormSq.map((normSq, j) => {
    // The difference of two rounded moments of a constant column may fall below 0.
    const variance = Math.max(0, second[j]! - mean[j]! ** 2) * unbiased;
    return variance * normSq;
  });
}

export function meanOverGroups(columns: Float64Array, groupSize: number): Float64Array {
  return sumOverGroups(columns, groupSize).map((sum) => sum / groupSize);
}
