/** The dense survey by itself: what every layer would lose at every width, for any number of allocations and runs. */
import { resolve } from 'node:path';
import type { z } from 'zod';
import type { PlacedLayer } from './allocation/own';
import { readWindows } from './calibration/text';
import { requireApart } from './checkpoint/apart';
import { requireWritable } from './checkpoint/atomic';
import { withBytes, withEngine } from './engine/engine';
import type { CallOptions } from './engine/engine-options';
import { GpuNeeds } from './engine/gpu-needs';
import { Session } from './engine/session';
import type { ModelSource } from './model/architecture';
import { settingsFrom } from './options';
import type { OnProgress, OnWarning } from './progress';
import { curvesOf, makeSurvey } from './pruning/decide';
import { surveyIdentity } from './pruning/journal/identity';
import { hashFiles } from './pruning/model-card';
import { settingsOf, surveySchema } from './pruning/options';
import { placesRead } from './pruning/places';
import { requireRoom, requireSurveySpace } from './pruning/room';
import { planInput, setUp, targetFacts } from './pruning/setup';
import { writeSurvey } from './pruning/survey-file';
import { Surveys } from './pruning/surveys';
import { tokenizerBytes } from './pruning/tokenizer-output';
import { allocationLayers, type TargetFacts } from './pruning/widths';
import { sourceOf } from './source';

/** Those of prune() that a survey depends on. `saveCalibration` keeps it for prune()'s `fromCalibration`. */
export type SurveyOptions = z.input<typeof surveySchema> &
  CallOptions & { onProgress?: OnProgress; onWarning?: OnWarning };

/** Error curves of a model's layers, and what a target is counted in. */
export interface LayerCurves extends TargetFacts {
  /** One a prunable site, in the order in which they are solved. */
  layers: PlacedLayer[];
}

/**
 * Measures the dense model; nothing is removed.
 * @throws StruPruneError ERR_ARGUMENT, ERR_NOT_FOUND, ERR_CHECKPOINT, ERR_UNSUPPORTED, ERR_TEXT, ERR_NAN, ERR_BUDGET, ERR_OUTPUT, ERR_SCRATCH;
 *   the signal's reason when aborted
 */
export async function survey(
  model: string | ModelSource,
  options: SurveyOptions,
): Promise<LayerCurves> {
  const own = settingsFrom(surveySchema, options);
  // The scope of a prune by the same method; curves are there whatever its allocation.
  const { scope } = settingsOf({ ...own, output: '-', sparsity: 0 });
  const settings = settingsOf({ ...own, scope, output: '-', sparsity: 0, allocation: 'threshold' });
  const { saveCalibration: file, force, calibration, calibrationTokens: maxTokens } = settings;
  const { signal } = options;
  return withEngine(options, async (engine) => {
    const source = await sourceOf(model);
    const bytes = await tokenizerBytes(source, settings.format, signal);
    const setup = setUp(source, settings, bytes);
    const { window, layers, method, stored } = setup;
    if (file !== undefined) {
      await requireApart(
        [[`--save-calibration ${file}`, file]],
        await placesRead(source, settings),
      );
      await requireWritable(resolve(file), { replace: force });
    }
    const ids = await readWindows(source, calibration, {
      window,
      maxTokens,
      bounded: engine.bounded,
      signal,
    });
    const sizes = {
      threads: engine.threads,
      gpu: GpuNeeds.of(engine, source.architecture),
      tokens: ids.length,
      tuning: 0,
      evaluation: null,
    };
    const input = { ...planInput(setup, sizes), surveyOnly: true };
    const plan = await requireRoom(input, settings, engine);
    if (file !== undefined) await requireSurveySpace(plan, file);
    const surveys = new Surveys();
    const session = new Session(engine, source, stored, settings.scratch);
    try {
      const onProgress = withBytes(engine, options.onProgress);
      const onWarning = options.onWarning && engine.listeners.hear(options.onWarning);
      const asked = { session, ids, window, layers, settings: setup.settings };
      const measured = await makeSurvey({ ...asked, onProgress, onWarning }, method, surveys);
      if (file !== undefined) {
        const hashes = await hashFiles(source, signal);
        const identity = surveyIdentity({ ...setup, hashes, ids, engine });
        await writeSurvey(resolve(file), session, measured, identity, { replace: force });
      }
      const { curves, weights } = await curvesOf(method, measured, layers);
      return {
        layers: allocationLayers(layers, curves, weights),
        ...targetFacts(setup),
      };
    } finally {
      surveys.dispose();
      session.dispose();
    }
  });
}
