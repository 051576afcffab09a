/** One run of prune() as one HTML file. */
import type { BenchSpeed } from '../documents/bench';
import { modelName } from '../model/name';
import type { PruneResult } from '../pruning/result';
import { html } from './html';
import { page, type Section } from './page';
import { admmFigure } from './sections/admm';
import { expertTokensFigure } from './sections/expert-tokens';
import { type Origin, originBody } from './sections/origin';
import { outputBody, samplesBody } from './sections/output';
import { errorFigure } from './sections/site-errors';
import { speedFigures } from './sections/speed';
import { widthsFigure } from './sections/widths';
import { pruneSummary } from './summary/prune';

export interface PruneRun {
  /** Path of what was pruned. */
  model: string;
  result: PruneResult;
  /** How fast it became; null: not measured. */
  speed: BenchSpeed | null;
  origin: Origin;
}

/** The whole report; the same run gives the same text. */
export function pruneHtml({ model, result, speed, origin }: PruneRun): string {
  const name = modelName(model);
  const { layerStats, samples } = result;
  const sites = layerStats.map(({ index, site, admm }) => ({ block: index, site, admm }));
  const errors = errorFigure(layerStats);
  const tokens = expertTokensFigure(layerStats);
  const admm = admmFigure(sites, 'admm', name);
  const sections: (Section | null)[] = [
    { id: 'layers', title: 'Where it was removed', body: widthsFigure(result) },
    errors && { id: 'errors', title: 'Errors', body: errors },
    tokens && { id: 'expert-tokens', title: 'Tokens of experts', body: tokens },
    admm && { id: 'admm', title: 'ADMM', body: admm },
    speed && { id: 'speed', title: 'Speed', body: speedFigures(speed) },
    samples && { id: 'samples', title: 'Words before and after', body: samplesBody(samples) },
    { id: 'output', title: 'The checkpoint', body: outputBody(result) },
    { id: 'origin', title: 'How this was made', body: originBody(origin) },
  ];
  const { method, allocation, scope, format, dtype } = result;
  return page({
    version: origin.versions.struprune,
    date: origin.date,
    title: `${name}, pruned`,
    facts: html`${method}, ${allocation} allocation, scope ${scope}, written as ${format} ${dtype}`,
    summary: pruneSummary(result, speed),
    sections,
  });
}
