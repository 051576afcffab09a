/** What gradients do, of models that they do not go through. */
import { StruPruneError } from '../errors';
import type { Architecture } from '../model/architecture';
import { forwardAlone } from '../model/gradients';
import type { RunSettings, Settings } from '../options';
import { tunedByDefault } from '../options/refit';
import type { SurveySpec } from './survey';

/** @throws StruPruneError ERR_UNSUPPORTED for what needs them */
export function requireGradients(
  architecture: Architecture,
  { needed, statistics, layerWeights }: SurveySpec,
  { tuneTokens }: RunSettings,
): void {
  const are = forwardAlone(architecture);
  if (are === null) return;
  const refuse = (what: string, mend: string) => {
    throw new StruPruneError('ERR_UNSUPPORTED', `${are}: ${what} through them`, mend);
  };
  if (needed && layerWeights === 'fisher') {
    refuse('Fisher metrics need gradients', 'choose --layer-weights probe');
  }
  if (statistics === 'order') refuse('importances need gradients', 'choose another --method');
  if (tuneTokens > 0) refuse('tuning needs gradients', 'leave --tune-tokens out');
}

/** Tokens that tune where nothing is said of it, for each that calibrates. */
export function tunedUsually(architecture: Architecture, settings: Settings): number {
  return forwardAlone(architecture) === null ? tunedByDefault(settings) : 0;
}

/** What is not done that others have by default. */
export function gradientNotes(architecture: Architecture, settings: Settings): string[] {
  const are = forwardAlone(architecture);
  if (are === null || settings.tuneTokens !== undefined || tunedByDefault(settings) === 0)
    return [];
  return [`nothing is tuned: ${are}, and gradients do not go through them`];
}
