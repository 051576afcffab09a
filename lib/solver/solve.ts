/**
 * A mask for one site under a budget: sweep, ADMM or a one-shot score, any of them from another's mask,
 * and a swap pass at the end if wanted.
 */
import { Own } from '../own';
import { type AdmmOptions, type AdmmStep, admm } from './admm';
import type { Metric, NativeSolver } from './native-solver';
import { type MaskFunction, type MaskTask, maskByCaller } from './own-mask';
import { maskByRounds } from './rounds';
import { groupScores, type ScoreKind } from './scores';
import type { Structure } from './structures/types';
import { maskForBudget, mostRemovals } from './sweep';

export type MaskMethod = 'sweep' | 'admm' | ScoreKind;

export interface MaskOptions {
  /** Default 'sweep'. */
  method?: MaskMethod | Own<MaskFunction>;
  /** Of the sweep: removals in so many rounds. Default: one after the other. */
  rounds?: number;
  /** Which site it is; a function of the caller's is told. */
  place?: Pick<MaskTask, 'block' | 'site' | 'keep'>;
  /** A bias may absorb the mean. Default false. */
  bias?: boolean;
  /** Metric of the sweep's choice and of the swap pass. Default 'plain'. */
  selection?: Metric;
  /** What gives ADMM its first mask. Default: nothing. */
  admmStart?: Exclude<MaskMethod, 'admm'>;
  admm?: Omit<AdmmOptions, 'bias' | 'start'>;
  /** Exchanges at most; 0 = no swap pass. Default 0. */
  maxSwaps?: number;
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

export async function findMask(
  solver: NativeSolver,
  structure: Structure,
  budget: number,
  options: MaskOptions = {},
): Promise<MaskReport> {
  const { method = 'sweep', maxSwaps = 0 } = options;
  const report = await maskBy(method, solver, structure, budget, options);
  if (maxSwaps === 0) return report;
  const { bias, selection } = options;
  const swap = await solver.swap(report.keep, { bias, metric: selection, maxSwaps });
  return {
    ...report,
    keep: swap.keep,
    swaps: swap.swaps.length / 2,
    lambda: swap.lambda,
    ridgeRaised: swap.ridgeRaised,
  };
}

async function maskBy(
  method: MaskMethod | Own<MaskFunction>,
  solver: NativeSolver,
  structure: Structure,
  budget: number,
  options: MaskOptions,
): Promise<MaskReport> {
  if (method instanceof Own) {
    const { bias = false, selection: metric = 'plain', place } = options;
    const task = { solver, structure, budget, bias, metric, ...place! };
    return { keep: await maskByCaller(method, task), lambda: null, ridgeRaised: 0 };
  }
  return method === 'admm'
    ? maskByAdmm(solver, structure, budget, options)
    : maskDirectly(solver, structure, budget, method, options);
}

async function maskDirectly(
  solver: NativeSolver,
  structure: Structure,
  budget: number,
  method: Exclude<MaskMethod, 'admm'>,
  options: MaskOptions,
): Promise<MaskReport> {
  if (method === 'sweep') {
    const { bias, selection, rounds } = options;
    if (rounds !== undefined) return maskByRounds(solver, structure, budget, rounds, bias);
    const maxRemoved = mostRemovals(structure, budget);
    const sweep = await solver.sweep({ bias, selection, curve: selection, maxRemoved });
    const keep = maskForBudget(sweep, structure, budget);
    return { keep, lambda: sweep.lambda, ridgeRaised: sweep.ridgeRaised };
  }
  const groupSize = solver.columnCount / solver.groupCount;
  const scores = groupScores(await solver.columns(), groupSize, method);
  const keep = structure.project(scores, structure.costs, budget);
  return { keep, lambda: null, ridgeRaised: 0 };
}

async function maskByAdmm(
  solver: NativeSolver,
  structure: Structure,
  budget: number,
  options: MaskOptions,
): Promise<MaskReport> {
  const { admmStart } = options;
  const start =
    admmStart && (await maskDirectly(solver, structure, budget, admmStart, options)).keep;
  const { keep, converged, history, lambda, ridgeRaised } = await admm(solver, structure, budget, {
    ...options.admm,
    bias: options.bias,
    start,
  });
  return { keep, lambda, ridgeRaised, admm: { converged, history } };
}
