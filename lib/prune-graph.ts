/** The main path of a graph: open → survey → allocate → solve site by site → write → verify. */
import { join } from 'node:path';
import { nameOf } from './calibration/text';
import { requireApart } from './checkpoint/apart';
import { orAbort } from './checkpoint/atomic';
import { type GraphPlace, graphPlace } from './checkpoint/graph-folder';
import { makeFolder, WORK_NAMES } from './checkpoint/output-path';
import { withEngine } from './engine/call';
import { type Engine, withBytes } from './engine/engine';
import { native } from './engine/native';
import { StageClock } from './engine/stage-clock';
import { StruPruneError } from './errors';
import { placesWritten, textsRead } from './models/decoders/places';
import { relate } from './models/graphs/relate';
import { filesBeside, notesOn } from './models/graphs/run/beside';
import { addBiases, changers } from './models/graphs/run/biases';
import { graphCard } from './models/graphs/run/card';
import { Counts } from './models/graphs/run/counts';
import { samplesOfFeeds } from './models/graphs/run/feeds';
import { GraphNetwork } from './models/graphs/run/front-end';
import { placeMade } from './models/graphs/run/gated';
import { openInferred } from './models/graphs/run/inferred';
import { withKernels } from './models/graphs/run/kernels';
import { lossesOf } from './models/graphs/run/losses';
import { factorMaps } from './models/graphs/run/low-rank';
import { compare, partedWarning } from './models/graphs/run/measured';
import { rowsOfMaps } from './models/graphs/run/multiply-adds';
import { sizeOf } from './models/graphs/run/outputs';
import { type GraphResult, siteResults } from './models/graphs/run/result';
import { requireMemory, requireSiteMemory } from './models/graphs/run/room';
import { Runtime } from './models/graphs/run/runtime';
import type { Samples } from './models/graphs/run/samples';
import { requireSamples, samplesIn } from './models/graphs/run/samples-in';
import { type Held, layersOf, prunedSites, storedIn } from './models/graphs/run/sites';
import { budgetOf, pricedIn, specOf } from './models/graphs/run/spec';
import { Recurrent } from './models/graphs/run/states';
import { requireFinite } from './models/graphs/run/weights';
import { mapsOf } from './models/graphs/weights';
import { type GraphOptions, graphSettingsOf, type Settings } from './options';
import type { FeedSource } from './options/feeds';
import { idleOptions } from './options/idle';
import type { Scope } from './options/method';
import { Own } from './own';
import {
  type Identity,
  machineIdentity,
  pick,
  programVersion,
  settingsInEffect,
} from './pruning/journal/identity';
import { Journal } from './pruning/journal/journal';
import { Surveys } from './pruning/surveys';
import { uniformly } from './spec/widths';
import { allocate } from './stages/allocate';
import { solve } from './stages/solve';
import { take, type Work } from './stages/stage';
import { survey } from './stages/survey';
import { verify } from './stages/verify';
import { write } from './stages/write';

/**
 * Prunes the ONNX file at `model`, or the one of a folder as transformers.js has it, into `options.output`, which appears only when it
 * is whole: units behind convolutions and products, on samples of the graph's inputs (docs/graphs.md). An output that does not end in
 * .onnx is such a folder. Needs onnxruntime-node.
 * Throws StruPruneError (docs/errors.md), or the signal's reason when aborted.
 */
export async function pruneGraph(model: string, options: GraphOptions): Promise<GraphResult> {
  const settings = graphSettingsOf(options);
  const place = graphPlace(model, settings.output);
  const paths = pathsIn(settings);
  return withEngine(options, async (engine) => {
    await requireApart(placesWritten(settings), [
      ['the model itself', place.model],
      ...(place.folder ? [["the model's folder", place.folder.path] as const] : []),
      ...textsRead(settings),
    ]);
    const { output, force, resume } = settings;
    const journal = await Journal.open(output, place.folder ? 'folder' : 'file', {
      resume,
      replace: force,
    });
    try {
      const result = await pruneWith(journal, engine, place, { ...settings, ...paths }, options);
      await journal.remove();
      return result;
    } catch (error) {
      throw await journal.leave(engine.translate(error));
    }
  });
}

async function pruneWith(
  journal: Journal,
  engine: Engine,
  { model, folder: around }: GraphPlace,
  settings: Omit<Settings, keyof Paths> & Paths,
  options: GraphOptions,
): Promise<GraphResult> {
  const { onProgress, onWarning, signal } = options;
  const start = performance.now();
  const spec = specOf(settings);
  const folder = join(journal.folder, WORK_NAMES.output);
  const runtime = new Runtime(engine.threads, folder);
  using file = await openInferred(model, runtime, settings.scratch);
  const beside = around && filesBeside(around);
  const [sha256, bytesBefore] = [await file.hash(signal), file.bytes];
  const fits = settings.bias !== 'keep';
  const added = settings.bias === 'add' ? addBiases(file.model) : [];
  const recurrent = Recurrent.prepare(file);
  const dense = relate(file);
  requireFinite(file, mapsOf(dense).values());
  const { calibrationFeeds, evalFeeds } = options;
  if (!calibrationFeeds) requireSamples(options, model, dense.graph);
  const { lowRank = false, structuredConvolutions = false } = settings;
  const { scope } = settings;
  const widths = lowRank ? null : prunedSites(dense, { fits, scope });
  if (widths && !structuredConvolutions)
    requireSites(widths.sites.length, model, scope, widths.held);
  const { calibration, calibrationTokens, evalTokens, window, scratch } = settings;
  const reader = { model, graph: dense.graph, runtime };
  const imageNotes = new Set<string>();
  const note = (text: string) => {
    imageNotes.add(text);
    engine.notify(text);
  };
  const opened = (path: string, tokens?: number) =>
    samplesIn({ path, tokens, window, images: settings, scratch, note }, reader, signal);
  const fed = (name: string, feeds: FeedSource) =>
    samplesOfFeeds(name, feeds, reader, { scratch, signal });
  using samples = calibrationFeeds
    ? await fed('calibrationFeeds', calibrationFeeds)
    : await opened(calibration, calibrationTokens);
  using evaluation = evalFeeds
    ? await fed('evalFeeds', evalFeeds)
    : settings.eval === undefined
      ? null
      : await opened(settings.eval, evalTokens);
  const identity = {
    ...identityOf(settings, engine, sha256, samples),
    ...(options.ownLoss && { loss: `own ${options.ownLoss.name}` }),
  };
  await journal.begin(identity, signal);
  await makeFolder(folder);
  const store = engine.store(scratch);
  const room = { memory: engine.budget, scratch };
  const between = () => engine.throwIfAborted();
  const tables = settings.targetParams !== undefined || settings.targetSize !== undefined;
  const factored = lowRank
    ? await factorMaps(file, dense, {
        samples,
        runtime,
        store,
        fits,
        tables,
        memory: engine.budget,
        between,
      })
    : [];
  const network = lowRank ? relate(file) : dense;
  const { sites: axes, held } = widths ?? prunedSites(network, { fits, scope, factored });
  const sites = structuredConvolutions ? withKernels(network, axes, { fits, factored }) : axes;
  requireSites(sites.length, model, scope, held);
  const counts = new Counts(
    network,
    sites.map(({ site }) => site),
    { rows: rowsOfMaps(file, samples), factored, added: changers(added, sites) },
  );
  const { multiple, maxLayerSparsity, output, force } = settings;
  const priced = pricedIn(settings);
  const layers = layersOf(sites, counts, { priced, multiple, maxLayerSparsity });
  const budget = budgetOf(settings, counts, { bytes: bytesBefore, stored: storedIn(sites) });
  // Refuses what no choice of widths reaches.
  uniformly(layers, budget, {});
  const warnings: string[] = [];
  const tell = onWarning && engine.listeners.hear(onWarning);
  const warn = (warning: string) => {
    warnings.push(warning);
    tell?.(warning);
  };
  const idle = idleOptions(settings, { isGraph: true });
  for (const warning of [...idle, ...journal.warnings, ...(beside?.warnings ?? [])]) warn(warning);
  const own = options.ownLoss ? new Own(options.ownLoss.name, options.ownLoss.loss) : null;
  const losses = lossesOf(network, own !== null);
  const ownLoss = own?.call ?? null;
  const readers = sites.flatMap((each) => each.readers);
  placeMade(
    network.graph,
    readers.flatMap(({ uses }) => uses),
  );
  const progress = withBytes(engine, onProgress);
  const graph = new GraphNetwork({
    ...{ file, network, added, factored, recurrent, sites, layers, counts, priced, budget },
    ...{ losses, ownLoss },
    ...{ runtime, room, samples, engine, journal },
    ...{ output, force, beside, store, onProgress: progress },
  });
  const solving = { mask: spec.mask, isFed: spec.refit.beta > 0 };
  requireSiteMemory(engine, sites, solving);
  await graph.begin();
  requireMemory(engine, sites, solving);
  const surveys = new Surveys();
  const work: Work = {
    ...spec,
    clock: new StageClock(engine.team),
    ...{ network: graph, engine, journal, surveys, identity, scratch, onProgress: progress, warn },
  };
  const decision = await take(allocate, work, await take(survey, work, null));
  const solved = await take(solve, work, decision);
  const written = await take(write, work, decision.shrinking);
  return await orAbort(written, async () => {
    const { path } = written;
    const verification = await take(verify, work, { path, expected: solved.expected });
    const measured =
      evaluation &&
      (await compare([model, path], evaluation, losses, {
        ...{ runtime, room, between, ownLoss },
      }));
    const parted = measured && partedWarning(measured, verification.actual, samples.count);
    if (parted) warn(parted);
    const { removed } = decision.allocation;
    const [before, after] = [counts.after(), counts.after(removed)];
    const bytesAfter = await sizeOf(path);
    const result: GraphResult = {
      settings: {
        ...pick(settings, Object.keys(settings)),
        ...(calibrationFeeds && { calibration: samples.path }),
      },
      allocation: String(settings.allocation),
      output,
      weightsBefore: before.weights,
      weightsAfter: after.weights,
      parametersBefore: before.parameters,
      parametersAfter: after.parameters,
      multiplyAddsBefore: before.multiplyAdds,
      multiplyAddsAfter: after.multiplyAdds,
      sparsity: before.weights && (before.weights - after.weights) / before.weights,
      ...{ bytesBefore, bytesAfter, losses, held, verification, warnings },
      search: decision.search,
      notes: [...imageNotes, ...(beside ? notesOn(beside) : [])],
      calibrationSamples: samples.count,
      evaluation: measured,
      sites: siteResults(sites, solved.layerStats),
      resumedSites: solved.resumedBlocks.length,
      passes: graph.passes,
      seconds: (performance.now() - start) / 1000,
      peakRssBytes: native.peakRss(),
    };
    const card = beside && graphCard(around!.path, beside.name, beside.config ?? {}, result);
    await written.commit(card === null ? [] : [{ name: 'README.md', text: card }]);
    return result;
  });
}

type Paths = { calibration: string; eval: string | undefined };

/** @throws StruPruneError ERR_ARGUMENT */
function pathsIn({ calibration, eval: evaluation }: Settings): Paths {
  for (const text of [calibration, evaluation]) {
    if (text === undefined || typeof text === 'string') continue;
    const found = `a graph is calibrated and measured on files, and not on ${nameOf(text)}`;
    throw new StruPruneError('ERR_ARGUMENT', found, 'give their path');
  }
  return { calibration, eval: evaluation } as Paths;
}

/** Everything that the bytes of a run depend on. */
function identityOf(
  settings: Settings,
  engine: Engine,
  sha256: string,
  samples: Samples,
): Identity {
  return {
    'struprune-native': programVersion(),
    checkpoint: sha256,
    'calibration samples': samples.sha256,
    ...machineIdentity(engine),
    ...settingsInEffect(settings),
  };
}

function requireSites(count: number, model: string, scope: Scope, held: readonly Held[]): void {
  if (count > 0) return;
  if (scope !== 'all') {
    const what = `nothing of ${model} can shrink in --scope ${scope}`;
    throw new StruPruneError('ERR_UNSUPPORTED', what, 'leave --scope out');
  }
  const most = held[0] ? `; most weights stay for this: ${held[0].reason}` : '';
  throw new StruPruneError(
    'ERR_UNSUPPORTED',
    `nothing of ${model} can shrink: no axis lies between maps of 32-bit or 16-bit floats that can be refitted${most}`,
    'give the model as it was before quantisation, or exported without what holds its weights, such as an If around them',
  );
}
