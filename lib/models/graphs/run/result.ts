/** What a run over a graph came to. */
import type { LayerStats, PruneResult } from '../../../pruning/result';
import type { OutputLoss } from './losses';
import type { Evaluation } from './measured';
import type { Held, PrunedSite } from './sites';

export interface GraphSiteResult
  extends Pick<LayerStats, 'predicted' | 'relativeError' | 'lambda' | 'seconds'> {
  /** The map that writes it; `rank of` or `kernel of` the map that may become two. */
  name: string;
  before: number;
  after: number;
}

export interface GraphResult
  extends Pick<
    PruneResult,
    | 'settings'
    | 'allocation'
    | 'output'
    | 'parametersBefore'
    | 'parametersAfter'
    | 'sparsity'
    | 'bytesBefore'
    | 'bytesAfter'
    | 'verification'
    | 'search'
    | 'seconds'
    | 'peakRssBytes'
    | 'warnings'
    | 'notes'
  > {
  /** Weights of convolutions, products and recurrent layers, which `sparsity` is a share of. */
  weightsBefore: number;
  weightsAfter: number;
  /** Of maps, for one sample; a size that only a run knows counts as one. */
  multiplyAddsBefore: number;
  multiplyAddsAfter: number;
  calibrationSamples: number;
  /** How far each output is from the dense network's, and in what that is measured. */
  losses: readonly OutputLoss[];
  /** null without samples to evaluate on. */
  evaluation: Evaluation | null;
  sites: GraphSiteResult[];
  /** Weights that no choice of widths removes, by the reasons. */
  held: Held[];
  /** Sites that an earlier run had solved. */
  resumedSites: number;
  /** How often the whole graph would have run over the calibration samples, by the nodes that did. */
  passes: number;
}

export function siteResults(
  sites: readonly PrunedSite[],
  stats: readonly LayerStats[],
): GraphSiteResult[] {
  return stats.map(({ index, groups, removed, predicted, relativeError, lambda, seconds }) => ({
    name: nameOf(sites[index]!),
    before: groups,
    after: groups - removed,
    ...{ predicted, relativeError, lambda, seconds },
  }));
}

function nameOf({ site, rankOf, kernel }: PrunedSite): string {
  if (kernel) return `kernel of ${site.name}`;
  return rankOf ? `rank of ${rankOf.tensor.name}` : site.name;
}
