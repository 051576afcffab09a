import type { LayerStats } from './result';

/** What to say where a matrix could not be factored with the ridge that was asked for. */
export function raisedRidge(asked: number, used: number): string {
  return `the Gram matrix could not be factored with a ridge of ${asked}, which was raised to ${used}; more calibration tokens or a larger lambda avoid that`;
}

/** One warning of all sites whose ridge was raised in the solve; none where there are no such. */
export function ridgeWarnings(stats: readonly LayerStats[], asked: number): string[] {
  const raised = stats.filter(({ ridgeRaised }) => ridgeRaised > 0);
  if (raised.length === 0) return [];
  const most = Math.max(...raised.map(({ lambda }) => lambda ?? asked));
  return [`${raised.length} of ${stats.length} sites: ${raisedRidge(asked, most)}`];
}
