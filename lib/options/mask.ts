/** Which groups make up a width. */
import { z } from 'zod';
import { MASKS } from '../masks';
import { MASK_SAMPLES } from '../masks/gumbel';
import type { MaskFunction } from '../masks/own';
import { SCORE_NAMES } from '../masks/scores';
import { Own } from '../own';
import { ADMM_DEFAULTS } from '../solver/admm';

import { choice, choiceOr, count, countOrNone, on, positive } from './kinds';
import { cutsExperts, type Scope } from './method';
import { declare } from './option';

/** What gives ADMM its first mask. */
export const ADMM_STARTS = ['none', 'sweep', ...SCORE_NAMES] as const;
/** What the sweep's order is measured in: plain squares, or the Fisher metric of the survey. */
export const SELECTIONS = ['plain', 'fisher'] as const;

export type Mask = (typeof MASKS)[number] | Own<MaskFunction>;

const ownMask = z
  .strictObject({
    name: z.string().min(1).optional(),
    search: z.custom<MaskFunction>((value) => typeof value === 'function', 'not a function'),
  })
  .transform(({ name, search }) => new Own(name, search));

const ofDense = ({ scope }: { scope: Scope }) =>
  cutsExperts(scope) ? `with --scope ${scope}` : null;

const ofGumbel = ({ mask }: { mask: Mask }) => (mask === 'gumbel' ? null : 'without --mask gumbel');

const ofAdmm = ({ mask }: { mask: Mask }) => (mask === 'admm' ? null : 'without --mask admm');

export const MASK = declare(
  { group: 'Mask', byMethod: true },
  {
    mask: {
      takes: choiceOr(MASKS, ownMask),
      help: 'how a mask is found',
      default: 'sweep',
      changes: 'run',
      also: ['graph'],
    },
    admmStart: {
      takes: choice(ADMM_STARTS),
      help: 'what gives ADMM its first mask',
      default: 'none',
      changes: 'run',
      also: ['graph'],
      read: [ofAdmm],
    },
    admmRho: {
      takes: positive,
      help: 'first ρ of ADMM, where the scaled H has a diagonal of 1',
      default: ADMM_DEFAULTS.rho,
      changes: 'run',
      also: ['graph'],
      read: [ofAdmm],
    },
    admmGrowth: {
      takes: { ...positive, schema: z.number().min(1) },
      help: 'factor on ρ after every step that changed the mask',
      default: ADMM_DEFAULTS.rhoGrowth,
      changes: 'run',
      also: ['graph'],
      read: [ofAdmm],
    },
    admmTolerance: {
      takes: positive,
      help: 'both relative residuals must be below it',
      default: ADMM_DEFAULTS.tolerance,
      changes: 'run',
      also: ['graph'],
      read: [ofAdmm],
    },
    admmIterations: {
      takes: count,
      help: 'steps of ADMM at most',
      default: ADMM_DEFAULTS.maxIterations,
      changes: 'run',
      also: ['graph'],
      read: [ofAdmm],
    },
    maskSamples: {
      takes: count,
      help: 'masks that are drawn, of which the one with the least error is taken',
      default: MASK_SAMPLES,
      changes: 'run',
      also: ['graph'],
      read: [ofGumbel],
    },
    maskConfidence: {
      takes: on,
      help: "masks of two halves of the survey's tokens beside each other, at the widths that were decided: what more tokens would change",
      otherwise: 'off',
      changes: 'measured',
      read: [ofDense],
    },
    selection: {
      takes: choice(SELECTIONS),
      help: 'what the sweep orders removals by: plain squares, or the Fisher metric',
      default: 'plain',
      changes: 'survey',
      also: ['survey'],
    },
    swaps: {
      takes: countOrNone,
      help: 'at most n exchanges of kept and removed groups after the mask',
      default: 0,
      changes: 'run',
      also: ['graph'],
    },
  },
);
