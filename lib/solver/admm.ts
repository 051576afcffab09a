/**
 * The ADMM iteration over any structure (docs/method.md, section 4). Native code does each step; here
 * are the mask, the schedule of ρ and the decision to stop.
 */
import type { Admm } from '../engine/admm';
import type { AdmmResiduals, RidgeReport } from '../engine/native-solver';
import type { Solver } from '../engine/solver';
import { StruPruneError } from '../errors';
import type { Structure } from './structures/types';

export interface AdmmOptions {
  bias?: boolean;
  /** First ρ, relative to the unit diagonal of the scaled H_λ. Default 0.1. */
  rho?: number;
  /**
   * Factor on ρ after every step that changed the mask: a small ρ explores (and would let the mask wander
   * for ever), a larger one settles it, and from then on ρ stays. Default 1.1.
   */
  rhoGrowth?: number;
  /** ρ stops growing here. Default 1000. */
  rhoMax?: number;
  /** Steps without a change of the mask before residuals may end the run. Default 5. */
  still?: number;
  /** Both relative residuals must be below this. Default 1e-3. */
  tolerance?: number;
  /** Default 100. */
  maxIterations?: number;
  /** Mask to start from (a sweep's, a score's). Default: none, Z starts as W*. */
  start?: Uint8Array;
}

/** Of the options, `start` aside. */
export const ADMM_DEFAULTS = {
  bias: false,
  rho: 0.1,
  rhoGrowth: 1.1,
  rhoMax: 1000,
  still: 5,
  tolerance: 1e-3,
  maxIterations: 100,
};

/** One step as it was: ρ, groups whose mask changed, residuals relative to the iterates' norms. */
export interface AdmmStep {
  rho: number;
  changed: number;
  /** ‖Ŵ − Z‖ ÷ max(‖Ŵ‖, ‖Z‖). */
  primal: number;
  /** ρ‖Z − Z_before‖ ÷ ρ‖U‖. */
  dual: number;
}

export interface AdmmResult extends RidgeReport {
  keep: Uint8Array;
  /** Mask and residuals came to rest before the limit. */
  converged: boolean;
  history: AdmmStep[];
}

/** Finds a mask whose cost is at most `budget`. The refit on it is the caller's. */
export async function admm(
  solver: Solver,
  structure: Structure,
  budget: number,
  options: AdmmOptions = {},
): Promise<AdmmResult> {
  const settings = withDefaults(options);
  using state = await solver.admm({ bias: settings.bias });
  const run = await iterate(state, structure, budget, settings);
  return { ...run, lambda: state.lambda, ridgeRaised: state.ridgeRaised };
}

type Settings = typeof ADMM_DEFAULTS & Pick<AdmmOptions, 'start'>;

async function iterate(
  state: Admm,
  structure: Structure,
  budget: number,
  settings: Settings,
): Promise<Pick<AdmmResult, 'keep' | 'converged' | 'history'>> {
  if (settings.start) await state.project(settings.start);
  let keep = settings.start ?? new Uint8Array(structure.groups).fill(1);
  let { rho } = settings;
  let unchanged = 0;
  let converged = false;
  const history: AdmmStep[] = [];
  await state.setRho(rho);
  while (history.length < settings.maxIterations && !converged) {
    await state.solve();
    const next = structure.project(await state.groupEnergies(), structure.costs, budget);
    await state.project(next);
    const step = { rho, changed: countChanges(keep, next), ...relative(await state.updateDual()) };
    history.push(step);
    keep = next;
    unchanged = step.changed === 0 ? unchanged + 1 : 0;
    converged =
      unchanged >= settings.still && Math.max(step.primal, step.dual) <= settings.tolerance;
    if (step.changed > 0 && rho < settings.rhoMax) {
      rho = Math.min(settings.rhoMax, rho * settings.rhoGrowth);
      await state.setRho(rho);
    }
  }
  return { keep, converged, history };
}

function withDefaults(options: AdmmOptions): Settings {
  const given = Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  );
  const settings: Settings = { ...ADMM_DEFAULTS, ...given };
  const valid =
    settings.rho > 0 &&
    settings.rhoGrowth >= 1 &&
    settings.rhoMax >= settings.rho &&
    settings.maxIterations >= 1;
  if (!valid) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      'ADMM needs rho > 0, rhoGrowth >= 1, rhoMax >= rho and at least one iteration',
    );
  }
  return settings;
}

/** Changed groups; a swap of two counts twice. */
function countChanges(a: Uint8Array, b: Uint8Array): number {
  return a.reduce((count, value, group) => count + (value === b[group] ? 0 : 1), 0);
}

function relative(residuals: AdmmResiduals): { primal: number; dual: number } {
  const { primal, dual, weightNorm, targetNorm, dualNorm } = residuals;
  return { primal: ratio(primal, Math.max(weightNorm, targetNorm)), dual: ratio(dual, dualNorm) };
}

function ratio(part: number, whole: number): number {
  return part === 0 ? 0 : part / whole;
}
