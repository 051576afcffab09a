/** What the weights that stay become. */
import { methodOf, readsOption } from '../methods';
import type { Effort } from './effort';
import { choice, count, nonNegative, off, share } from './kinds';
import { reaches, type Scope } from './method';
import { declare } from './option';

export const BIASES = ['keep', 'refit', 'add'] as const;
/** What of an FFN is refitted: its output map alone, or gate and up too. */
export const FFN_SOLVERS = ['output', 'auxiliary', 'gauss-newton'] as const;

export type FfnSolver = (typeof FFN_SOLVERS)[number];

export interface Refits {
  effort: Effort;
  method: string;
  refit: boolean;
  scope: Scope;
  ffnSolver?: FfnSolver;
}

export interface Tunes extends Pick<Refits, 'effort' | 'method' | 'refit'> {
  tuneTokens?: number;
}

/** Whether gate and up are refitted where nothing is said of it: docs/decisions/0015. */
export function refitsByDefault({ effort, method, refit, scope }: Refits): boolean {
  const may = readsOption(methodOf(method), 'ffnSolver') && refit && reaches(scope, 'ffn');
  return may && effort !== 'quick';
}

/**
 * Tokens that tune what the solve left where nothing is said of it, for each that calibrates: docs/decisions/0028. Twice as
 * many take twice as long, for 2 % of perplexity at 40 %.
 */
export function tunedByDefault({ effort, method, refit }: Tunes): number {
  if (!readsOption(methodOf(method), 'refit') || !refit) return 0;
  return effort === 'best' ? 2 : 1;
}

/** The one that is given, or the default as far as it does not depend on the source. */
function solverOf(settings: Refits): FfnSolver {
  return settings.ffnSolver ?? (refitsByDefault(settings) ? 'gauss-newton' : 'output');
}

const ofAuxiliary = (settings: Refits) =>
  solverOf(settings) === 'auxiliary' ? null : 'without --ffn-solver auxiliary';

const ofGaussNewton = (settings: Refits) =>
  solverOf(settings) === 'gauss-newton' ? null : `with --ffn-solver ${solverOf(settings)}`;

const ofInputs = (settings: Refits) =>
  solverOf(settings) === 'output' ? 'with --ffn-solver output' : null;

const FEEDBACK = '0.5; 0 for post-norm models and without sequential inputs or a refit';

export const REFIT = declare(
  { group: 'Refit', byMethod: true },
  {
    lambda: {
      takes: nonNegative,
      help: 'ridge, as a share of the diagonal of the Gram matrix',
      otherwise: '0.05, or (6 × columns ÷ tokens)² where that is more: below 27 tokens a column',
      changes: 'survey',
      also: ['survey', 'graph'],
    },
    refit: {
      takes: off,
      help: 'leave the kept weights as they are',
      default: true,
      changes: 'run',
      also: ['graph'],
    },
    bias: {
      takes: choice(BIASES),
      value: '<what>',
      help: "output maps' biases: keep as they are, refit where they exist, or add, which graphs do by default",
      default: 'refit',
      changes: 'run',
      also: ['graph'],
    },
    ffnSolver: {
      takes: choice(FFN_SOLVERS),
      help: 'what of an FFN is refitted: its output map, or gate and up too, by auxiliary variables or Gauss-Newton',
      otherwise:
        'gauss-newton; output with --effort quick, where the file keeps gate and up byte for byte, with --no-refit, and with other methods',
      changes: 'run', // a survey's identity has the types of gate and up
      also: ['survey'],
    },
    auxiliaryIterations: {
      takes: count,
      help: 'iterations of the auxiliary variables, each with a refit of the output map',
      default: 3,
      changes: 'run',
      read: [ofAuxiliary],
    },
    gaussNewtonRounds: {
      takes: count,
      help: 'linearisations of an FFN, each with a refit of its output map',
      default: 2,
      changes: 'run',
      read: [ofGaussNewton],
    },
    gaussNewtonSteps: {
      takes: count,
      help: 'conjugate gradient steps of a round',
      default: 2,
      changes: 'run',
      read: [ofGaussNewton],
    },
    ffnTokens: {
      takes: count,
      help: 'calibration tokens of a round or iteration over gate and up; the refits of the output map take all',
      default: 32768,
      changes: 'run',
      read: [ofInputs],
    },
    sequential: {
      takes: off,
      help: 'solve every block on inputs of the dense model',
      default: true,
      changes: 'survey',
    },
    alpha: {
      takes: share,
      help: 'share of the error so far that a block is asked to undo',
      otherwise: FEEDBACK,
      changes: 'run',
    },
    beta: {
      takes: share,
      help: "share of the dense output in a block's target",
      otherwise: `${FEEDBACK}, and of a graph`,
      changes: 'run',
      also: ['graph'],
    },
  },
);

/** Shares of the error so far and of the dense output in a block's target. */
export interface Feedback {
  alpha: number;
  beta: number;
}

/** Whether blocks are asked to undo anything of what the pruning before them did. */
export function feeds({ alpha, beta }: Feedback): boolean {
  return alpha !== 0 || beta !== 0;
}
