/** What a run is, from its options and the checkpoint's header: whatever can be refused is refused here. */

import { readsCurves } from '../allocation';
import { asRun } from '../checkpoint/as-llama-runs';
import { calibrationWindow } from '../measure/perplexity';
import { methodOf, readsOption } from '../methods';
import type { ModelSource } from '../model/architecture';
import type { Settings } from '../options';
import { allocationSpec } from './allocation';
import { depthSpec } from './depth';
import { recipeFor, requireForExperts, scopeNotes, withScope } from './experts';
import { gradientNotes, requireGradients } from './gradients';
import { timedLayers } from './latency';
import { outputSpec, requireNoSliding } from './output';
import { planOutput, uniformAllocation } from './planned';
import { refitNotes, refitSpec, withModelDefaults } from './refit';
import { searchRounds } from './search';
import { surveySpec } from './survey';
import type { RunSpec } from './types';
import { layersOf } from './widths';

export type { RunSpec, StageSpec } from './types';

/** @throws StruPruneError ERR_ARGUMENT, ERR_UNSUPPORTED */
export function resolve(given: ModelSource, asked: Settings, tokenizerBytes = 0): RunSpec {
  const { source, notes } = asRun(given, asked.format);
  const { architecture } = source;
  const method = methodOf(asked.method);
  const scoped = withScope(architecture, method, asked);
  const allocation = allocationSpec(method, scoped);
  const settings = withModelDefaults(source, method, scoped);
  const { sparsity, targetParams, targetMacs, targetSize, targetSpeed } = settings;
  const recipe = recipeFor(method, settings);
  const { statistics, inputs, mask } = recipe;
  const refit = refitSpec(method, recipe.refit, settings);
  const survey = surveySpec(recipe, settings);
  const depth = depthSpec(survey, settings);
  const search = searchRounds(survey, settings);
  const confidence =
    settings.maskConfidence === true && readsOption(method, 'maskConfidence') && !survey.experts;
  const window = calibrationWindow(architecture, settings.window);
  requireNoSliding(settings, architecture, window);
  const output = outputSpec(source, settings, refit, tokenizerBytes);
  output.notes.push(
    ...notes,
    ...scopeNotes(settings),
    ...refitNotes(scoped, refit),
    ...gradientNotes(architecture, scoped),
  );
  const target = { sparsity, targetParams, targetMacs, targetSize, targetSpeed };
  const sites = layersOf(architecture, settings, output.stored.matrices);
  const { layers, timing } = timedLayers(architecture, sites, settings);
  requireForExperts(architecture, layers, settings, output.adds);
  requireGradients(architecture, survey, settings);
  const gather = { statistics, inputs };
  const spec: RunSpec = {
    ...{ source, settings, method, target, timing, layers, window },
    ...{ survey, allocation, depth, search, confidence, gather, mask, refit, output },
  };
  requireHolds(spec);
  return spec;
}

/** A first look at the output: what nothing can hold is refused now. */
function requireHolds(spec: RunSpec): void {
  const { layers, allocation } = spec;
  const { removed } = uniformAllocation(spec);
  if (readsCurves(allocation.rule)) {
    // Widths that differ, as they may come out.
    for (const site of new Set(layers.map((layer) => layer.site))) {
      removed[layers.findIndex((layer) => layer.site === site)] = 0;
    }
  }
  planOutput(spec, removed);
}
