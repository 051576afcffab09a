import type { Metric } from '../engine/native-solver';
import type { Solver } from '../engine/solver';
import type { Site } from '../model/sublayers';
import type { Own } from '../own';
import type { AdmmOptions, AdmmStep } from '../solver/admm';
import type { Structure } from '../solver/structures/types';
import type { ExpertSearchName } from './experts';
import type { MaskFunction, MaskTask } from './own';
import type { ScoreName } from './scores';

export type SearchName = 'sweep' | 'rounds' | 'admm' | 'gumbel' | 'order' | ScoreName;

/** One site's problem. */
export interface MaskProblem {
  solver: Solver;
  structure: Structure;
  /** Weights that may stay. */
  budget: number;
  /** A bias may absorb the mean. */
  bias: boolean;
  /** What the sweep's choice and the swap pass are measured in. */
  metric: Metric;
  /** Which site it is: a function of the caller's is told. */
  place: Pick<MaskTask, 'block' | 'site' | 'keep'>;
}

/** How masks are found, for all sites alike. */
export interface MaskRecipe {
  search: SearchName | Own<MaskFunction>;
  /** What gives ADMM its first mask; nothing when left out. */
  start?: Exclude<SearchName, 'admm'>;
  admm: Omit<AdmmOptions, 'bias' | 'start'>;
  /** How many masks are drawn, and from where on. */
  gumbel: { samples: number; seed: number };
  /** Of `rounds`: how many a site has, where it is not one. */
  rounds: Readonly<Record<Site, number>>;
  metric: Metric;
  /** How whole experts are chosen; left out where the method does not choose among them. */
  experts?: ExpertSearchName;
  /** Exchanges of the swap pass at most; without bounds: while the error falls. */
  swaps: number;
}

export interface MaskReport {
  keep: Uint8Array;
  /** λ as used by the last step that factored anything; null where only scores were needed. */
  lambda: number | null;
  ridgeRaised: number;
  /** Only for ADMM. */
  admm?: { converged: boolean; history: AdmmStep[] };
  /** Exchanges made; only after a swap pass. */
  swaps?: number;
}
