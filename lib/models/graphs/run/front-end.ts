/**
 * A graph as the stages see it. It is pruned without a change of its shape: where a unit has gone its columns in the readers are
 * zero, which gives the same values (docs/decisions/0021). Only what is written is sliced.
 */

import type { Budget } from '../../../allocation';
import type { Engine } from '../../../engine/engine';
import type { Refit } from '../../../engine/refit';
import type { Store } from '../../../engine/store';
import { StruPruneError } from '../../../errors';
import type { Dtype } from '../../../model/architecture';
import { type OnStage, stageReporter } from '../../../progress';
import type { Journal } from '../../../pruning/journal/journal';
import { LAMBDA } from '../../../solver/ridge';
import { channelStructure } from '../../../solver/structures/channels';
import type { Structure } from '../../../solver/structures/types';
import type { SurveySpec } from '../../../spec/survey';
import type { Layer } from '../../../spec/widths';
import type {
  Chosen,
  Cut,
  DenseSite,
  Fit,
  FrontEnd,
  Inner,
  Joint,
  JointLosses,
  OrderedSite,
  Output,
  Part,
  Pass,
  Shrinking,
  Solving,
  Visited,
  VisitSite,
} from '../../front-end';
import type { OnnxFile } from '../onnx/file';
import type { TensorProto } from '../onnx/onnx_pb';
import { FilePart, type Source } from '../onnx/source';
import { dimsOf } from '../onnx/tensor';
import type { Network } from '../relate';
import type { Site } from '../sites';
import { slice } from '../slice';
import { ALL, type Some, StoredBatches } from './batches';
import type { Beside } from './beside';
import { type AddedBias, removeBiases } from './biases';
import { Blocks, type Trial } from './blocks';
import { type Resized, resized } from './composite';
import type { Counts } from './counts';
import type { Factored } from './factored';
import { JointWeights } from './joint-weights';
import { shrinkKernels } from './kernels';
import { Losses, type OutputLoss, type OwnCall } from './losses';
import { joinMaps } from './low-rank';
import { writeGraph } from './output';
import { type Running, visitOutputs } from './outputs';
import { staying } from './readers';
import type { Activation, Activations, Runtime } from './runtime';
import type { Samples } from './samples';
import { Segments } from './segments';
import { kernelsOf, type PrunedSite, ranksOf, startsOf, storedIn, UNITS } from './sites';
import type { Recurrent } from './states';
import { type Refitted, SiteSums } from './sums';
import { keepIn, Walk } from './walk';
import { bytesOf, putRefitted, restoring, tensorsOf, weightOf } from './weights';

/** Passes of the whole graph over the samples that all trials of a survey may come to. */
const TRIAL_PASSES = 8;

/** Of the batches, at most, that a trial of all sites at once is measured by. */
const UNSEEN = 0.25;

/** What a front end is made of; `file` is changed as the run goes on. */
export interface GraphRun {
  file: OnnxFile;
  network: Network;
  added: readonly AddedBias[];
  /** Maps as two. */
  factored: readonly Factored[];
  recurrent: Recurrent;
  sites: readonly PrunedSite[];
  layers: readonly Layer[];
  counts: Counts;
  priced: 'weights' | 'multiplyAdds';
  budget: Budget;
  losses: readonly OutputLoss[];
  /** Of the caller's; null: what `losses` says. */
  ownLoss: OwnCall | null;
  runtime: Runtime;
  room: Running['room'];
  samples: Samples;
  engine: Engine;
  store: Store;
  journal: Journal;
  output: string;
  force: boolean;
  /** What goes with the graph; null: nothing. */
  beside: Beside | null;
  onProgress: OnStage | undefined;
}

export class GraphNetwork implements FrontEnd {
  readonly stored: Dtype;
  readonly layers: readonly Layer[];
  readonly parts: number;
  readonly part = 'site';
  readonly budget: Budget;
  /** Of the dense network, batch after batch. */
  readonly #outputs: Record<string, Activation>[] = [];
  readonly #segments: Segments;
  /** Of each site the segment that its solve begins with. */
  readonly #starts: readonly number[];
  /** What refits change, as it was. */
  readonly #dense: ReadonlyMap<TensorProto, Source>;

  constructor(private readonly run: GraphRun) {
    const { layers, budget, network, sites, file } = run;
    this.stored = storedIn(sites);
    this.layers = layers;
    this.parts = layers.length;
    this.budget = budget;
    const places = startsOf(network, sites);
    this.#segments = new Segments(network, [...new Set(places)]);
    this.#starts = places.map((place) => this.#segments.before(place));
    const changing = tensorsOf(sites.flatMap(({ readers }) => readers));
    this.#dense = new Map(changing.map((tensor) => [tensor, file.data(tensor)]));
  }

  /** Runs the dense network, to which all losses are relative. */
  async begin(): Promise<void> {
    using walk = this.#walk();
    await walk.visit(this.#wanted, keepIn(this.#outputs));
  }

  /** How often the whole graph would have run over all samples, by the nodes that did. */
  get passes(): number {
    const { runtime, samples, network } = this.run;
    return runtime.executed / (samples.batches * network.graph.node.length);
  }

  get inner(): Inner | undefined {
    const { layers, sites, counts, priced } = this.run;
    const at = new Set([...sites.keys()].filter((i) => sites[i]!.rankOf || sites[i]!.kernel));
    if (at.size === 0) return undefined;
    return {
      at,
      beside: (removed) =>
        layers.map((layer, i) => {
          const { rankOf, kernel } = sites[i]!;
          if (kernel)
            return { ...layer, ...kernelsOf({ ...layer, kernel }, counts, priced, removed) };
          if (!rankOf) return layer;
          return { ...layer, ...ranksOf(layer, counts.ofRanks(rankOf.up.name, priced, removed)) };
        }),
    };
  }

  sample() {
    const { count: rows, path } = this.run.samples;
    return { rows, about: `${rows} samples of ${path}` };
  }

  columns(): never {
    throw new StruPruneError('ERR_INTERNAL', 'graphs are not pruned by scores');
  }

  async visit<Found>(
    { lambda = LAMBDA }: SurveySpec,
    visit: VisitSite<Found, DenseSite | OrderedSite>,
  ): Promise<Visited<Found>> {
    const { layers, sites, onProgress } = this.run;
    const found: Found[] = [];
    const losses = new Float64Array(layers.length);
    const report = stageReporter(onProgress, 'survey', layers.length);
    await using blocks = this.#blocks();
    using walk = this.#walk();
    for (const at of layers.keys()) {
      await walk.to(this.#starts[at]!);
      await using sums = await this.#sumsOf(walk, at, { lambda }, new Map());
      const site = sites[at]!;
      const tried = async (refitted: Refitted[]) => {
        losses[at] = await this.#tried(walk, blocks, site, refitted);
      };
      if (site.kernel) {
        found.push(await visit(at, await this.#ordered(sums, layers[at]!, tried)));
      } else {
        using solver = await sums.solver();
        const tryOut = (_kept: Int32Array, refit: Refit) => tried(sums.refitted(refit));
        found.push(await visit(at, { solver, stream: 0, tryOut }));
      }
      report(at + 1, `site ${at + 1} of ${layers.length}`, at);
    }
    return { found, losses, metrics: null };
  }

  async jointly({ survey, visit, onPart }: Joint): Promise<JointLosses> {
    const { lambda = LAMBDA } = survey;
    const { file, layers, runtime, sites } = this.run;
    const [summed, measured] = this.#jointBatches();
    return restoring(file, [...this.#dense.keys()], async () => {
      using weights = new JointWeights(file, runtime.fileFor('joint'));
      await this.#cutAll({ lambda, summed, weights }, visit, onPart);
      await using blocks = this.#blocks();
      using walk = this.#walk();
      const loss = await this.#lossNow(walk, measured, { blocks, changed: [] });
      const others = new Float64Array(layers.length).fill(Number.NaN);
      for (const at of weights.others) {
        await walk.to(this.#starts[at]!);
        const trial = { blocks, changed: tensorsOf(sites[at]!.readers) };
        others[at] = await weights.withOther(at, () => this.#lossNow(walk, measured, trial));
      }
      return { loss, others };
    });
  }

  /** Cuts one site after the other, each on what the graph cut so far gives. */
  async #cutAll(
    { lambda, summed, weights }: { lambda: number; summed: Some; weights: JointWeights },
    visit: Joint['visit'],
    onPart: Joint['onPart'],
  ): Promise<void> {
    const kept = new Map<Site, Int32Array>();
    using walk = this.#walk();
    for (const [at, { site, readers }] of this.run.sites.entries()) {
      await walk.to(this.#starts[at]!);
      await using sums = await this.#sumsOf(walk, at, { lambda }, kept, { some: summed });
      using solver = await sums.solver();
      const cutBy = (cut: Cut | null) => (cut ? sums.refitted(cut.refit) : []);
      await visit(at, {
        solver,
        other: async (cut) => weights.putOther(at, readers, cutBy(cut)),
        joint: async (cut) => {
          weights.put(at, readers, cutBy(cut));
          if (cut) kept.set(site, cut.kept);
        },
      });
      onPart(at);
    }
  }

  /** Those of the sums, and those that lose: others, where there are two. As many of these as trials take. */
  #jointBatches(): [Some, Some] {
    const { batches } = this.run.samples;
    if (batches === 1) return [ALL, ALL];
    const unseen = Math.min(Math.max(1, Math.floor(UNSEEN * batches)), this.#batchesOfTrials);
    return [
      { from: 0, end: batches - unseen },
      { from: batches - unseen, end: batches },
    ];
  }

  structureOf({ groups, cost }: Layer): Structure {
    return channelStructure({ channels: groups, hidden: cost / 2, gated: false });
  }

  shrink(): Shrinking {
    const kept = new Map<Site, Int32Array>();
    return {
      begin: async (solving) => this.#pass(solving, kept),
      write: () => this.#write(kept),
    };
  }

  /** Of an ONNX file: on the samples that calibrate. */
  async measure(path: string): Promise<number> {
    const { runtime, samples, room } = this.run;
    const running = { runtime, room, between: () => this.#between() };
    const { losses, visit } = this.#against();
    await visitOutputs(path, samples, { outputs: this.#wanted, visit }, running);
    return losses.mean;
  }

  #pass({ refit }: Solving, kept: Map<Site, Int32Array>): Pass {
    const walk = this.#walk();
    const dense = refit.beta > 0 ? this.#walk('dense') : null;
    return {
      open: async (index) => {
        await walk.to(this.#starts[index]!);
        if (dense) await this.#asDense(() => dense.to(this.#starts[index]!));
        return this.#part([walk, dense], index, refit, kept);
      },
      replay: async (index, { keep }, solved) => {
        if (solved.length === 0) return;
        const { site, readers } = this.run.sites[index]!;
        this.#fromJournal(index, tensorsOf(readers));
        kept.set(site, keep[UNITS]!);
      },
      measure: () => this.#lossNow(walk),
      [Symbol.asyncDispose]: async () => {
        walk[Symbol.dispose]();
        dense?.[Symbol.dispose]();
      },
    };
  }

  #part(
    [walk, dense]: readonly [Walk, Walk | null],
    index: number,
    { lambda = LAMBDA, beta, output }: Solving['refit'],
    keptUnits: Map<Site, Int32Array>,
  ): Part {
    const { file, sites } = this.run;
    const { site, readers, kernel } = sites[index]!;
    const take = async (sums: SiteSums, { kept, refit }: Chosen): Promise<Fit> => {
      using fitted = refit!;
      putRefitted(file, sums.refitted(fitted));
      keptUnits.set(site, kept);
      const { relativeError, lambda: used, ridgeRaised } = fitted;
      return { relativeError, lambda: used, ridgeRaised, inputRefit: null };
    };
    const resize = async (sums: SiteSums, kept: Int32Array): Promise<Fit> => {
      const removed = site.units - kept.length;
      const { weight, ...fit } = await this.#resized(sums, index, removed, output === 'exact');
      putRefitted(file, sums.replaced(weight));
      keptUnits.set(site, kept);
      return { ...fit, inputRefit: null };
    };
    let changed: TensorProto[] = [];
    let isFinished = false;
    return {
      leave: async () => {},
      cut: () => this.columns(),
      shrink: async (_layer, choose) => {
        await using sums = await this.#sumsOf(walk, index, { lambda, beta }, keptUnits, { dense });
        changed = tensorsOf(readers);
        if (kernel) {
          const chosen = await choose({ by: 'order' });
          return { chosen, fit: await resize(sums, chosen.kept) };
        }
        using solver = await sums.solver();
        const chosen = await choose({ by: 'gram', solver, hasBias: false });
        return { chosen, fit: await take(sums, chosen) };
      },
      finish: async () => ({
        roles: changed.map(({ name }) => name),
        chunks: (async function* () {
          for (const tensor of changed) yield bytesOf(file, tensor);
          isFinished = true;
        })(),
      }),
      [Symbol.asyncDispose]: async () => {
        if (isFinished) this.#fromJournal(index, changed);
      },
    };
  }

  /** What smaller kernels lose. */
  async #ordered(
    sums: SiteSums,
    { block, allowed }: Layer,
    tried: (refitted: Refitted[]) => Promise<void>,
  ): Promise<OrderedSite> {
    const errors = new Float64Array(allowed.at(-1)! + 1);
    const ridge = { lambda: 0, ridgeRaised: 0 };
    let energy = 0;
    for (let removed = 1; removed < errors.length; removed++) {
      const { error, ...found } = await this.#resized(sums, block, removed);
      errors[removed] = error;
      energy = found.energy;
      if (found.lambda > ridge.lambda) Object.assign(ridge, found);
    }
    const tryOut = async (removed: number) => {
      const { weight } = await this.#resized(sums, block, removed);
      await tried(sums.replaced(weight));
    };
    return { errors, energy, ridge, tryOut };
  }

  #resized(sums: SiteSums, at: number, removed: number, exact = true): Promise<Resized> {
    const { sites, store } = this.run;
    this.#between();
    return resized(store, sums.alone(), { kernel: sites[at]!.kernel!, removed }, exact);
  }

  /** What a part has changed is read where the journal keeps it: memory has no room for the weights of all parts. */
  #fromJournal(index: number, changed: readonly TensorProto[]): void {
    const { file, journal } = this.run;
    let at = 0;
    for (const tensor of changed) {
      const { length } = file.data(tensor);
      file.replace(tensor, dimsOf(tensor), new FilePart(journal.blockPath(index), at, length));
      at += length;
    }
  }

  #walk(name?: string): Walk {
    const { file, runtime, samples } = this.run;
    const segments = this.#segments;
    return new Walk({ file, segments, runtime, samples, name, between: () => this.#between() });
  }

  /** For trials of the graph as it is. Onnxruntime may read data beside the graph for as long as a session is open. */
  #blocks(): Blocks {
    const { file, runtime, room } = this.run;
    const keeps = room.memory === 0 && this.#segments.isSmall && !file.hasExternalData;
    return new Blocks(file, runtime, keeps);
  }

  /** Runs `work` with the weights of the dense network. */
  #asDense<T>(work: () => Promise<T>): Promise<T> {
    const { file } = this.run;
    return restoring(file, [...this.#dense.keys()], () => {
      for (const [tensor, data] of this.#dense) file.replace(tensor, dimsOf(tensor), data);
      return work();
    });
  }

  /** What of the dense network is wanted, as often as a visit of the pruned one will get it. */
  async #visited(dense: Walk, wanted: Iterable<string>, some: Some): Promise<StoredBatches> {
    const { runtime } = this.run;
    const found = new StoredBatches(runtime.fileFor('beside'), runtime);
    try {
      await this.#asDense(() => dense.visit(wanted, (values) => found.put(values), some));
      return found;
    } catch (error) {
      found[Symbol.dispose]();
      throw error;
    }
  }

  #between(): void {
    this.run.engine.throwIfAborted();
  }

  /** What the readers of a site read of the network as it is, beside the dense one where there is feedback. */
  async #sumsOf(
    walk: Walk,
    at: number,
    refit: { lambda: number; beta?: number },
    kept: ReadonlyMap<Site, Int32Array>,
    { dense = null, some = ALL }: { dense?: Walk | null; some?: Some } = {},
  ): Promise<SiteSums> {
    const { file, sites, store } = this.run;
    const { site, readers } = sites[at]!;
    const uses = readers.flatMap((reader) => reader.uses);
    const wanted = new Set(uses.map(({ activation }) => activation));
    const sums = SiteSums.of(
      ...([store, site.units, refit, readers] as const),
      (reader) => weightOf(file, reader),
      (reader) => staying(reader, kept),
    );
    try {
      using beside = dense && (await this.#visited(dense, wanted, some));
      const lost = beside?.read();
      await walk.visit(wanted, (values) => sums.add(values, lost?.next().value), some);
      return sums;
    } catch (error) {
      await sums[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** On as many samples as leave all trials together within so many passes, which each takes a half of. */
  #tried(
    walk: Walk,
    blocks: Blocks,
    { readers }: PrunedSite,
    refitted: Refitted[],
  ): Promise<number> {
    const { file } = this.run;
    const changed = tensorsOf(readers);
    return restoring(file, changed, () => {
      putRefitted(file, refitted);
      return this.#lossNow(walk, { from: 0, end: this.#batchesOfTrials }, { blocks, changed });
    });
  }

  get #batchesOfTrials(): number {
    const { sites, samples } = this.run;
    return Math.ceil((samples.batches * 2 * TRIAL_PASSES) / sites.length);
  }

  async #lossNow(walk: Walk, some?: Some, trial?: Trial): Promise<number> {
    const { losses, visit } = this.#against();
    await walk.visit(this.#wanted, visit, some, trial);
    return losses.mean;
  }

  /** What a network loses against the dense one, by the outputs that `visit` gets. */
  #against() {
    const losses = new Losses(this.run.losses, this.run.ownLoss);
    const visit = (values: Activations, batch: number) =>
      losses.add(this.#outputs[batch]!, values, batch);
    return { losses, visit };
  }

  get #wanted(): string[] {
    return this.run.losses.map(({ output }) => output);
  }

  async #write(kept: ReadonlyMap<Site, Int32Array>): Promise<Output> {
    const { file, network, added, factored, recurrent, sites, journal, output, force, beside } =
      this.run;
    const touched = sites.filter(({ site }) => kept.has(site)).flatMap(({ readers }) => readers);
    const changed = new Set(tensorsOf(touched));
    slice(network, kept);
    const isChanged = (tensor: TensorProto) => changed.has(tensor);
    for (const bias of await joinMaps(file, factored, isChanged)) changed.add(bias);
    await shrinkKernels(file, sites, kept, factored);
    removeBiases(network.graph, added, isChanged);
    recurrent.hide();
    return writeGraph(file, { output, force, work: journal.folder, beside });
  }
}
