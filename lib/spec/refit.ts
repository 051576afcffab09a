/** What the weights that stay become, where the model has a say. */

import { isIds } from '../calibration/text';
import { isEmbeddedMix } from '../embedded';
import { StruPruneError } from '../errors';
import type { Method, RefitRecipe } from '../methods';
import { readsOption } from '../methods';
import type { Architecture, ModelSource } from '../model/architecture';
import type { RunSettings, Settings } from '../options';
import { cutsExperts } from '../options/method';
import { type Feedback, type FfnSolver, feeds, refitsByDefault } from '../options/refit';
import { keepsTypes } from './dtypes';
import { tunedUsually } from './gradients';

export interface RefitSpec extends RefitRecipe {
  /** Ridge, as a share of the diagonal of the Gram matrix. */
  /** As it was asked for. */
  lambda: number | undefined;
}

/** Tokens of the mixed text that tune, for each of the calibration text's: docs/decisions/0054. */
export const MIXED = 0.25;

/** Of the error before a block, and of the dense output: docs/decisions/0006. */
const FEEDBACK = 0.5;

const KEPT =
  'gate and up stay as the source has them: --ffn-solver gauss-newton refits them, and rounds them anew';

/**
 * The settings with the defaults that the model decides.
 * @throws StruPruneError ERR_ARGUMENT, ERR_UNSUPPORTED
 */
export function withModelDefaults(
  source: ModelSource,
  method: Method,
  settings: Settings,
): RunSettings {
  const feedback = feedbackOf(source.architecture, method, settings);
  const ffnSolver = ffnSolverOf(source, settings);
  if (ffnSolver !== 'output' && !settings.refit) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `the FFN solver ${ffnSolver} refits the output map too`,
      'leave --no-refit out, or choose --ffn-solver output',
    );
  }
  const tuned = tunedUsually(source.architecture, settings);
  const tuneTokens = settings.tuneTokens ?? tuned * settings.calibrationTokens;
  const { calibration } = settings;
  // Whoever brings ids may have no tokenizer.
  const mixes = !isEmbeddedMix(calibration) && !isIds(calibration);
  const tuneMix = settings.tuneMix ?? (mixes ? Math.floor(MIXED * tuneTokens) : 0);
  return { ...settings, ...feedback, ffnSolver, tuneTokens, tuneMix };
}

/** @throws StruPruneError ERR_ARGUMENT */
export function refitSpec(
  { name }: Method,
  recipe: RefitRecipe,
  { bias, lambda }: Settings,
): RefitSpec {
  if (bias === 'add' && recipe.bias !== 'add') {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `method ${name} adds no biases of a refit`,
      'leave --bias add out, or choose --method struprune',
    );
  }
  return { ...recipe, lambda };
}

/** Where gate and up would have been refitted, but for the file that keeps theirs. */
export function refitNotes(settings: Settings, { inputs }: RefitRecipe): string[] {
  const loses = settings.ffnSolver === undefined && refitsByDefault(settings);
  return loses && inputs.by === 'none' ? [KEPT] : [];
}

/** What was asked for; else the default, where the model and the method can have it. */
function feedbackOf(
  { norm }: Architecture,
  method: Method,
  { alpha, beta, sequential, refit, scope }: Settings,
): Feedback {
  if (!readsOption(method, 'alpha') || cutsExperts(scope)) return { alpha: 0, beta: 0 };
  const usual = sequential && refit && norm.placement === 'pre' ? FEEDBACK : 0;
  const feedback = { alpha: alpha ?? usual, beta: beta ?? usual };
  if (feeds(feedback) && norm.placement !== 'pre') {
    throw new StruPruneError(
      'ERR_UNSUPPORTED',
      'feedback (alpha, beta) needs a model without norms behind attention and FFN',
      'leave --alpha and --beta at 0',
    );
  }
  return feedback;
}

/** What was asked for; else gate and up too, but where the output keeps theirs byte for byte: docs/decisions/0015. */
function ffnSolverOf(source: ModelSource, settings: Settings): FfnSolver {
  if (settings.ffnSolver !== undefined) return settings.ffnSolver;
  const alone = keepsTypes(source, settings) || !refitsByDefault(settings);
  return alone ? 'output' : 'gauss-newton';
}
