/** The dense survey by itself: what every layer would lose at every width, for any number of allocations and runs. */
import { resolve } from 'node:path';
import type { z } from 'zod';
import type { PlacedLayer } from './allocation/own';
import { readWindows } from './calibration/text';
import { requireApart } from './checkpoint/apart';
import { requireWritable } from './checkpoint/atomic';
import { type CallOptions, settingsFrom, withEngine } from './engine/call';
import { withBytes } from './engine/engine';
import { Session } from './engine/session';
import type { ModelSource } from './model/architecture';
import { DenseDecoder } from './models/decoders/dense';
import { hashFiles } from './models/decoders/model-card';
import { placesRead } from './models/decoders/places';
import { planInput } from './models/decoders/plan-input';
import { requireRoom, requireSurveySpace } from './models/decoders/room';
import { tokenizerBytes } from './models/decoders/tokenizer-output';
import { type Settings, settingsOf, surveySchema } from './options';
import type { OnProgress, OnWarning } from './progress';
import { surveyIdentity } from './pruning/journal/identity';
import { writeSurvey } from './pruning/survey-file';
import { Surveys } from './pruning/surveys';
import { sourceOf } from './source';
import { resolve as resolveRun } from './spec';
import { targetFacts } from './spec/planned';
import { allocationLayers, type TargetFacts } from './spec/widths';
import { curvesOf } from './stages/allocate';
import { makeSurvey } from './stages/survey';

/** Those of prune() that a survey depends on. `saveCalibration` keeps it for prune()'s `fromCalibration`. */
export type SurveyOptions = z.input<typeof surveySchema> &
  CallOptions & { onProgress?: OnProgress; onWarning?: OnWarning };

/** The scope is that of a prune by the same method, or what wins for a mixture of experts; curves are there whatever its allocation. */
function surveySettings(own: z.output<typeof surveySchema>): Settings {
  const { scope, given } = settingsOf({ ...own, output: '-', sparsity: 0 });
  const settings = settingsOf({ ...own, scope, output: '-', sparsity: 0, allocation: 'threshold' });
  const isGiven = given.includes('scope');
  return { ...settings, given: settings.given.filter((key) => isGiven || key !== 'scope') };
}

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
  const settings = surveySettings(own);
  const { saveCalibration: file, force, calibration, calibrationTokens: maxTokens } = settings;
  const { signal } = options;
  return withEngine(options, async (engine) => {
    const source = await sourceOf(model, options, engine);
    const bytes = await tokenizerBytes(source, settings.format, signal);
    const spec = resolveRun(source, settings, bytes);
    const { window, layers, output } = spec;
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
      engine,
      tokens: ids.length,
      tuning: null,
      evaluation: null,
    };
    const input = { ...planInput(spec, sizes), surveyOnly: true };
    const plan = await requireRoom(input, settings, engine);
    if (file !== undefined) await requireSurveySpace(plan, file);
    const surveys = new Surveys();
    const session = new Session(engine, spec.source, output.stored, settings.scratch);
    try {
      const onProgress = withBytes(engine, options.onProgress);
      const onWarning = options.onWarning && engine.listeners.hear(options.onWarning);
      const network = new DenseDecoder({ session, ids, window, layers, onProgress });
      const asked = { network, survey: spec.survey, warn: onWarning };
      const measured = await makeSurvey(asked, surveys);
      if (file !== undefined) {
        const hashes = await hashFiles(source, signal);
        const identity = surveyIdentity({ ...spec, hashes, ids, engine });
        await writeSurvey(resolve(file), measured, identity, { replace: force });
      }
      const { curves, weights } = await curvesOf(spec.survey, measured, layers);
      return {
        layers: allocationLayers(layers, curves, weights),
        ...targetFacts(spec),
      };
    } finally {
      surveys.dispose();
      session.dispose();
    }
  });
}
