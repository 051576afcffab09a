import { MASK_DEFAULTS } from '../masks';
import type { InputsRecipe, Method, MethodOptions } from './types';

/** docs/method.md, section 1: everything is the caller's choice. */
export const struprune = {
  name: 'struprune',
  source: 'docs/method.md',
  insideExperts: true,
  wholeExperts: true,
  reads: 'all',
  allocations: ['threshold', 'energy', 'uniform'],
  recipe: (options) => ({
    statistics: 'gram',
    inputs: options.sequential ? 'sequential' : 'dense',
    curves: 'sweep',
    mask: {
      ...MASK_DEFAULTS,
      search: options.mask,
      start: options.admmStart === 'none' ? undefined : options.admmStart,
      admm: {
        rho: options.admmRho,
        rhoGrowth: options.admmGrowth,
        tolerance: options.admmTolerance,
        maxIterations: options.admmIterations,
      },
      gumbel: { samples: options.maskSamples, seed: options.seed ?? 0 },
      experts: 'error',
      metric: options.selection,
      swaps: options.swaps,
    },
    refit: {
      output: options.refit ? 'exact' : 'kept',
      bias: options.bias,
      inputs: inputsOf(options),
      alpha: options.alpha,
      beta: options.beta,
    },
  }),
} as const satisfies Method;

function inputsOf({ ffnSolver, ffnTokens: tokens, ...options }: MethodOptions): InputsRecipe {
  const {
    auxiliaryIterations: iterations,
    gaussNewtonRounds: rounds,
    gaussNewtonSteps: steps,
  } = options;
  if (ffnSolver === 'output') return { by: 'none' };
  return ffnSolver === 'auxiliary'
    ? { by: 'auxiliary', iterations, tokens }
    : { by: 'gauss-newton', rounds, steps, tokens };
}
