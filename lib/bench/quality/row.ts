/** One row: a model is pruned into a folder, opened again, and compared with the dense one. */
import { rm } from 'node:fs/promises';
import { openCheckpoint } from '../../checkpoint/open';
import type { BenchLayer, BenchRow } from '../../documents/bench';
import { type Engine, withBytes } from '../../engine/engine';
import { type PruneOptions, settingsOf } from '../../options';
import type { OnProgress } from '../../progress';
import { pruneOn } from '../../prune';
import type { LayerStats, PruneResult } from '../../pruning/result';
import type { Surveys, SurveyUse } from '../../pruning/surveys';
import { buildOf } from '../document';
import type { MethodEntry } from '../methods';
import { peakOf, resetPeak } from '../resident';
import type { Reference } from './reference';

export interface RowInput {
  engine: Engine;
  model: string;
  entry: MethodEntry;
  /** The benchmark's own options and the entry's. */
  options: PruneOptions;
  /** Calibration tokens, and behind them those that tune. */
  ids: Int32Array;
  surveys: Surveys;
  /** Receives the surveys that the row asks for. */
  uses: readonly SurveyUse[];
  reference: Reference;
  keepModel: boolean;
  onProgress: OnProgress | undefined;
}

export async function makeRow(input: RowInput): Promise<BenchRow> {
  const { engine, model, options, ids, surveys, uses, reference, onProgress } = input;
  const shared = { ids, surveys, resumable: false };
  const canTell = resetPeak();
  try {
    const result = await pruneOn(engine, model, settingsOf(options), { onProgress }, shared);
    const peakRssBytes = canTell ? peakOf('self') : null;
    const start = performance.now();
    const written = await openCheckpoint(options.output);
    const texts = await reference.compare(written, withBytes(engine, onProgress));
    const waited = uses.filter(({ fresh }) => fresh).reduce((sum, use) => sum + use.seconds, 0);
    return {
      ...about(input, result),
      parameters: written.parameters,
      texts,
      seconds: {
        survey: uses.reduce((sum, use) => sum + use.seconds, 0),
        solve: result.seconds - waited,
        evaluate: (performance.now() - start) / 1000,
      },
      survey: uses.find(({ survey }) => survey !== null)?.key ?? null,
      peakRssBytes,
      build: buildOf(),
    };
  } finally {
    if (!input.keepModel) await rm(options.output, { recursive: true, force: true });
  }
}

function about({ entry, options }: RowInput, result: PruneResult) {
  return {
    method: entry.id,
    label: entry.label,
    allocation: result.allocation,
    sparsity: options.sparsity!,
    achieved: result.sparsity,
    fileSparsity: result.fileSparsity,
    fileBytes: result.bytesAfter,
    layers: result.layerStats.map(layerOf),
    warnings: result.warnings,
  };
}

function layerOf(stats: LayerStats): BenchLayer {
  const { index, site, groups, removed, relativeError, predicted, seconds, admm } = stats;
  return {
    block: index,
    site,
    groups,
    removed,
    share: removed / groups,
    relativeError,
    predicted,
    seconds,
    admm: admm && { converged: admm.converged, history: admm.history },
  };
}
