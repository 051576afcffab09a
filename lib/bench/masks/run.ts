/** Every way to a mask on every site of the dense model: the error that is left after the exact refit. */

import type { BenchDocument, BenchMaskSearch, BenchMaskSite } from '../../documents/bench';
import { withEngine } from '../../engine/call';
import { withBytes } from '../../engine/engine';
import { Session } from '../../engine/session';
import type { Solver } from '../../engine/solver';
import { findMask } from '../../masks';
import { DenseDecoder } from '../../models/decoders/dense';
import { structureOf } from '../../models/decoders/structure';
import { settingsOf } from '../../options';
import { sourceOf } from '../../source';
import { resolve } from '../../spec';
import type { SurveySpec } from '../../spec/survey';
import type { Layer } from '../../spec/widths';
import { commandLine } from '../../wording';
import { documentOf, machineOf, modelOf } from '../document';
import { tokenise } from '../quality/texts';
import { type MasksOptions, masksSettings } from './options';
import { SEARCHES, type Search } from './searches';

/**
 * Errors are those of the calibration tokens, unpenalised, as shares of the map's own energy. All searches of a site
 * share its Gram, which is not in their seconds; each ends with the same refit, which is not either.
 * Throws as prune().
 */
export async function benchMasks(model: string, options: MasksOptions): Promise<BenchDocument> {
  const started = performance.now();
  const own = masksSettings(options);
  const { threads, memory, bf16, fullPrecision, signal, onProgress } = options;
  return withEngine(options, async (engine) => {
    const source = await sourceOf(model, options, engine);
    const { calibration: path, scope, lambda, scratch, calibrationTokens } = own;
    const settings = settingsOf({
      output: own.output,
      calibration: path,
      calibrationTokens,
      window: own.window,
      sparsity: 0,
      scope,
      lambda,
      scratch,
      dtype: 'f32',
    });
    const { layers, window, survey, output } = resolve(source, settings);
    const limits = { window, maxTokens: calibrationTokens, bounded: engine.bounded, signal };
    const { about: calibration, ids } = await tokenise(source, path, limits);
    const session = new Session(engine, source, output.stored, scratch);
    const sites: BenchMaskSite[] = [];
    try {
      const onStage = withBytes(engine, onProgress);
      const network = new DenseDecoder({ session, ids, window, layers, onProgress: onStage });
      const plain: SurveySpec = { ...survey, layerWeights: 'none', surveyTokens: ids.length };
      await network.visit(plain, async (at, { solver }) => {
        // What can only go as a whole has no mask.
        if (layers[at]!.groups < 2) return;
        for (const share of own.shares) {
          sites.push(await compare(session, layers[at]!, solver, share));
        }
      });
    } finally {
      session.dispose();
    }
    const about = {
      command: commandLine(
        ['bench', 'masks', model],
        Object.entries({ ...own, threads, memory, bf16, fullPrecision }),
      ),
      machine: machineOf(engine),
      seed: 0,
      settings: { ...own, window },
    };
    const searches = SEARCHES.map(({ id, label }) => ({ id, label }));
    return documentOf(started, about, {
      masks: { model: modelOf(source), calibration, searches, sites },
    });
  });
}

async function compare(
  session: Session,
  layer: Layer,
  solver: Solver,
  share: number,
): Promise<BenchMaskSite> {
  const { block, site, groups } = layer;
  const removed = Math.min(groups - 1, Math.max(1, Math.round(share * groups)));
  const results: BenchMaskSearch[] = [];
  for (const search of SEARCHES) {
    session.engine.throwIfAborted();
    results.push(await measure(session, layer, solver, removed, search));
  }
  return { block, site, groups, removed, share, results };
}

async function measure(
  session: Session,
  layer: Layer,
  solver: Solver,
  removed: number,
  { id, recipe }: Search,
): Promise<BenchMaskSearch> {
  const { block, site, groups, cost } = layer;
  const keep = groups - removed;
  const problem = {
    solver,
    structure: structureOf(session.architecture, layer),
    budget: cost * keep,
    bias: false,
    metric: recipe.metric,
    place: { block, site, keep },
  };
  const start = performance.now();
  const report = await findMask(problem, recipe);
  const seconds = (performance.now() - start) / 1000;
  using refit = await solver.refit(report.keep);
  return {
    search: id,
    relativeError: refit.relativeError,
    seconds,
    swaps: report.swaps ?? null,
    admm: report.admm ?? null,
  };
}
