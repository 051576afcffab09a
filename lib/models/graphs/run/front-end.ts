/**
 * A graph as the stages see it. It is pruned without a change of its shape: where a unit has gone its columns in the readers are
 * zero, which gives the same values (docs/decisions/0021). Only what is written is sliced.
 */
import { readFile, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { Budget } from '../../../allocation';
import { asOutput } from '../../../checkpoint/output-error';
import {
  exists,
  makeFolder,
  requireReplaceable,
  sync,
  WORK_NAMES,
} from '../../../checkpoint/output-path';
import type { Engine } from '../../../engine/engine';
import { disposeAll } from '../../../engine/owned';
import type { Refit } from '../../../engine/refit';
import type { Store } from '../../../engine/store';
import { StruPruneError } from '../../../errors';
import { type OnStage, stageReporter } from '../../../progress';
import type { Journal } from '../../../pruning/journal/journal';
import { channelStructure } from '../../../solver/structures/channels';
import type { Structure } from '../../../solver/structures/types';
import type { SurveySpec } from '../../../spec/survey';
import type { Layer } from '../../../spec/widths';
import type {
  Chosen,
  Fit,
  FrontEnd,
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
import type { Network } from '../relate';
import type { Site } from '../sites';
import { slice } from '../slice';
import { type AddedBias, removeBiases } from './biases';
import { Losses, type OutputLoss } from './losses';
import type { Reader } from './readers';
import type { Activations, Runtime, Session } from './runtime';
import type { Samples } from './samples';
import { type PrunedSite, UNITS } from './sites';
import { SiteSums } from './sums';
import { bytesOf, putBytes, putRefitted, restoring, tensorsOf, weightOf } from './weights';

/** Sites of the dense network that one pass sums. */
const AT_ONCE = 8;

/** What a front end is made of; `file` is changed as the run goes on. */
export interface GraphRun {
  file: OnnxFile;
  network: Network;
  added: readonly AddedBias[];
  sites: readonly PrunedSite[];
  layers: readonly Layer[];
  budget: Budget;
  losses: readonly OutputLoss[];
  runtime: Runtime;
  samples: Samples;
  engine: Engine;
  store: Store;
  journal: Journal;
  /** Widths are multiples of it. */
  multiple: number;
  output: string;
  force: boolean;
  onProgress: OnStage | undefined;
}

export class GraphNetwork implements FrontEnd {
  readonly stored = 'F32';
  readonly layers: readonly Layer[];
  readonly parts: number;
  readonly budget: Budget;
  /** Of the dense network, batch after batch. */
  #outputs: Activations[] = [];

  constructor(private readonly run: GraphRun) {
    this.layers = run.layers;
    this.parts = run.layers.length;
    this.budget = run.budget;
  }

  /** Runs the dense network, to which all losses are relative. */
  async begin(): Promise<void> {
    const { file, runtime, losses } = this.run;
    await using session = await runtime.part(
      file,
      losses.map(({ output }) => output),
    );
    for await (const outputs of this.#runs(session)) this.#outputs.push(outputs);
  }

  sample() {
    const { count: rows, path } = this.run.samples;
    return { rows, about: `${rows} samples of ${path}` };
  }

  columns(): never {
    throw new StruPruneError('ERR_INTERNAL', 'graphs are not pruned by scores');
  }

  async visit({ lambda }: SurveySpec, visit: VisitSite): Promise<Visited> {
    const { layers, sites, onProgress } = this.run;
    const losses = new Float64Array(layers.length);
    const report = stageReporter(onProgress, 'survey', layers.length);
    for (let first = 0; first < layers.length; first += AT_ONCE) {
      const places = [...layers.keys()].slice(first, first + AT_ONCE);
      const all = await this.#sumsOf(places, lambda);
      try {
        for (const [i, at] of places.entries()) {
          const sums = all[i]!;
          using solver = await sums.solver();
          const tryOut = async (_kept: Int32Array, refit: Refit) => {
            losses[at] = await this.#tried(sites[at]!, sums, refit);
          };
          await visit(at, { solver, stream: 0, tryOut });
          report(at + 1, `site ${at + 1} of ${layers.length}`, at);
        }
      } finally {
        await disposeAll(all);
      }
    }
    return { losses, metrics: null };
  }

  structureOf({ groups, cost }: Layer): Structure {
    const { multiple } = this.run;
    return channelStructure({ channels: groups, hidden: cost / 2, gated: false, multiple });
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
    await using session = await this.run.runtime.open(path);
    return await this.#lossOf(session);
  }

  #pass({ refit: { lambda } }: Solving, kept: Map<Site, Int32Array>): Pass {
    return {
      open: async (index) => this.#part(index, lambda, kept),
      replay: async (index, { keep }, solved) => {
        if (solved.length === 0) return;
        const { site, readers } = this.run.sites[index]!;
        await this.#readBack(index, readers);
        kept.set(site, keep[UNITS]!);
      },
      measure: () => this.#lossNow(),
      [Symbol.asyncDispose]: async () => {},
    };
  }

  #part(index: number, lambda: number, keptUnits: Map<Site, Int32Array>): Part {
    const { file, sites } = this.run;
    const { site, readers } = sites[index]!;
    const take = async (sums: SiteSums, { kept, refit }: Chosen): Promise<Fit> => {
      using fitted = refit!;
      putRefitted(file, sums.refitted(fitted));
      keptUnits.set(site, kept);
      const { relativeError, lambda: used, ridgeRaised } = fitted;
      return { relativeError, lambda: used, ridgeRaised, inputRefit: null };
    };
    let changed: TensorProto[] = [];
    return {
      leave: async () => {},
      cut: () => this.columns(),
      shrink: async (_layer, choose) => {
        const [made] = await this.#sumsOf([index], lambda);
        await using sums = made!;
        using solver = await sums.solver();
        const chosen = await choose({ by: 'gram', solver, hasBias: false });
        const fit = await take(sums, chosen);
        changed = tensorsOf(readers);
        return { chosen, fit };
      },
      finish: async () => ({
        roles: changed.map(({ name }) => name),
        chunks: (async function* () {
          for (const tensor of changed) yield bytesOf(file, tensor);
        })(),
      }),
      [Symbol.asyncDispose]: async () => {},
    };
  }

  async #readBack(index: number, readers: readonly Reader[]): Promise<void> {
    const { file, journal } = this.run;
    const bytes = new Uint8Array(await readFile(journal.blockPath(index)));
    let at = 0;
    for (const tensor of tensorsOf(readers)) {
      const { length } = file.data(tensor);
      putBytes(file, tensor, bytes.slice(at, at + length));
      at += length;
    }
  }

  /** What the readers of each site read of the network as it is. */
  async #sumsOf(places: readonly number[], lambda: number): Promise<SiteSums[]> {
    const { file, runtime, sites, store } = this.run;
    const mine = places.map((at) => sites[at]!);
    const uses = mine.flatMap(({ readers }) => readers.flatMap((reader) => reader.uses));
    const wanted = new Set(uses.map(({ activation }) => activation));
    await using session = await runtime.part(file, [...wanted]);
    const all = mine.map(({ site, readers }) =>
      SiteSums.of(store, site.units, lambda, readers, (reader) => weightOf(file, reader)),
    );
    try {
      for await (const activations of this.#runs(session)) {
        for (const sums of all) await sums.add(activations);
      }
    } catch (error) {
      await disposeAll(all);
      throw error;
    }
    return all;
  }

  #tried({ readers }: PrunedSite, sums: SiteSums, refit: Refit): Promise<number> {
    const { file } = this.run;
    return restoring(file, tensorsOf(readers), () => {
      putRefitted(file, sums.refitted(refit));
      return this.#lossNow();
    });
  }

  async #lossNow(): Promise<number> {
    const { file, runtime, losses } = this.run;
    await using session = await runtime.part(
      file,
      losses.map(({ output }) => output),
    );
    return await this.#lossOf(session);
  }

  async #lossOf(session: Session): Promise<number> {
    const sum = new Losses(this.run.losses);
    let at = 0;
    for await (const outputs of this.#runs(session)) sum.add(this.#outputs[at++]!, outputs);
    return sum.mean;
  }

  async *#runs(session: Session): AsyncGenerator<Activations> {
    const { samples, runtime, engine } = this.run;
    for (const feeds of samples.batches(runtime)) {
      engine.throwIfAborted();
      yield await session.run(feeds);
    }
  }

  async #write(kept: ReadonlyMap<Site, Int32Array>): Promise<Output> {
    const { file, network, added, sites, journal, output, force } = this.run;
    const touched = sites.filter(({ site }) => kept.has(site)).flatMap(({ readers }) => readers);
    const changed = new Set(tensorsOf(touched));
    slice(network, kept);
    removeBiases(network.graph, added, (tensor) => changed.has(tensor));
    const folder = join(journal.folder, WORK_NAMES.output);
    const target = resolve(output);
    const path = join(folder, basename(target));
    return asOutput(target, async () => {
      await makeFolder(folder);
      await file.write(path, { replace: true });
      return {
        path,
        commit: () => asOutput(target, () => moveInto(path, target, force)),
        abort: () => rm(folder, { recursive: true, force: true }),
      };
    });
  }
}

/** With its external data, which come first. */
async function moveInto(path: string, target: string, replace: boolean): Promise<void> {
  for (const ending of ['.data', '']) {
    if (!(await exists(path + ending))) continue;
    await requireReplaceable(target + ending, 'file', { replace });
    await rename(path + ending, target + ending);
  }
  await sync(dirname(target));
}
