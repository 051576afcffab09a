/** What cannot be done yet to models of experts. */
import { StruPruneError } from '../errors';
import type { Architecture } from '../model/architecture';
import type { RunSettings } from '../options';
import type { SurveySpec } from './survey';
import type { Layer } from './widths';

/** @throws StruPruneError ERR_UNSUPPORTED for what needs gradients, and where nothing in scope may shrink */
export function requireForExperts(
  { routing }: Architecture,
  layers: readonly Layer[],
  { needed, layerWeights }: SurveySpec,
  { scope, tuneTokens }: RunSettings,
): void {
  if (routing === null) return;
  const refuse = (what: string, mend: string) => {
    throw new StruPruneError(
      'ERR_UNSUPPORTED',
      `the FFNs of this model are experts: ${what}`,
      mend,
    );
  };
  if (layers.length === 0) {
    refuse(`--scope ${scope} would remove channels of them`, 'choose --scope attention');
  }
  if (needed && layerWeights === 'fisher') {
    refuse('Fisher metrics need gradients through them', 'choose --layer-weights probe');
  }
  if (tuneTokens > 0) {
    refuse('tuning needs gradients through them', 'leave --tune-tokens out');
  }
}
