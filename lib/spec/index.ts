/** What a run is, from its options and the checkpoint's header: whatever can be refused is refused here. */
import { readsCurves } from '../allocation';
import { SITES } from '../engine/session';
import { calibrationWindow } from '../evaluate';
import type { MaskRecipe } from '../masks';
import { type Method, methodOf, type Recipe } from '../methods';
import type { ModelSource } from '../model/architecture';
import type { RunSettings, Settings } from '../options';
import type { Target } from '../options/target';
import { type AllocationSpec, allocationSpec } from './allocation';
import { type OutputSpec, outputSpec, requireNoSliding } from './output';
import { planOutput, uniformAllocation } from './planned';
import { type RefitSpec, refitNotes, refitSpec, withModelDefaults } from './refit';
import { type SurveySpec, surveySpec } from './survey';
import { type Layer, layersOf } from './widths';

/** A run in parts; a stage gets those that it works by. */
export interface RunSpec {
  source: ModelSource;
  /** Every option as it takes effect, as identities, cards and reports have them. */
  settings: RunSettings;
  method: Method;
  /** How much goes. */
  target: Target;
  /** What may go: the widths of every site in scope. */
  layers: readonly Layer[];
  /** Tokens of a calibration window. */
  window: number;
  survey: SurveySpec;
  allocation: AllocationSpec;
  /** What a solve gathers, and on which inputs. */
  gather: Pick<Recipe, 'statistics' | 'inputs'>;
  mask: MaskRecipe;
  refit: RefitSpec;
  output: OutputSpec;
}

/** @throws StruPruneError ERR_ARGUMENT, ERR_UNSUPPORTED */
export function resolve(source: ModelSource, given: Settings, tokenizerBytes = 0): RunSpec {
  const { architecture } = source;
  const method = methodOf(given.method);
  const allocation = allocationSpec(method, given);
  const settings = withModelDefaults(source, method, given);
  const { sparsity, targetParams, targetSize } = settings;
  const recipe = method.recipe(settings);
  const { statistics, inputs, mask } = recipe;
  const refit = refitSpec(method, recipe.refit, settings);
  const survey = surveySpec(recipe, settings);
  const window = calibrationWindow(architecture, settings.window);
  requireNoSliding(settings, architecture, window);
  const output = outputSpec(source, settings, refit, tokenizerBytes);
  output.notes.push(...refitNotes(given, refit));
  const target = { sparsity, targetParams, targetSize };
  const layers = layersOf(architecture, settings, output.dtype);
  const gather = { statistics, inputs };
  const spec: RunSpec = {
    ...{ source, settings, method, target, layers, window },
    ...{ survey, allocation, gather, mask, refit, output },
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
    for (const site of SITES) {
      const first = layers.findIndex((layer) => layer.site === site);
      if (first !== -1) removed[first] = 0;
    }
  }
  planOutput(spec, removed);
}
