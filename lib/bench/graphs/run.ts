/** A graph pruned and sliced to equal sizes: what is lost on samples that calibrated nothing, and what it saves. */
import { basename, join, resolve } from 'node:path';
import { graphFile } from '../../checkpoint/graph-folder';
import { makeFolder } from '../../checkpoint/output-path';
import type {
  BenchDocument,
  BenchGraphRow,
  BenchGraphs,
  BenchMeasuredGraph,
} from '../../documents/bench';
import { withEngine } from '../../engine/call';
import { withBytes } from '../../engine/engine';
import { OnnxFile } from '../../models/graphs/onnx/file';
import { type Network, relate } from '../../models/graphs/relate';
import { Counts } from '../../models/graphs/run/counts';
import { lossesOf } from '../../models/graphs/run/losses';
import { compare } from '../../models/graphs/run/measured';
import { rowsOfMaps } from '../../models/graphs/run/multiply-adds';
import { Runtime } from '../../models/graphs/run/runtime';
import type { Samples } from '../../models/graphs/run/samples';
import { samplesIn } from '../../models/graphs/run/samples-in';
import { stageReporter } from '../../progress';
import { pruneGraph } from '../../prune-graph';
import { commandLine } from '../../wording';
import { documentOf, machineOf } from '../document';
import { withScratch } from '../scratch';
import { type GraphsOptions, type GraphsSettings, graphsSettings } from './options';
import { sliceByNorm } from './slice-by-norm';
import { timed } from './timing';

/**
 * Every sparsity twice: by pruneGraph(), and as a slice by L2 norm of at most as many parameters. Throws as pruneGraph().
 */
export async function benchGraphs(model: string, options: GraphsOptions): Promise<BenchDocument> {
  const started = performance.now();
  const settings = graphsSettings(options);
  const { threads, memory, signal } = options;
  const machine = await withEngine({ threads, signal, device: 'cpu' }, async (engine) =>
    machineOf(engine),
  );
  const graphs = await withScratch(settings.scratch, (folder) =>
    new GraphBench(graphFile(model), settings, options, folder).run(),
  );
  const about = {
    command: commandLine(
      ['bench', 'graphs', model],
      Object.entries({ ...settings, threads, memory }),
    ),
    machine,
    seed: 0,
    settings: { ...settings },
  };
  return documentOf(started, about, { graphs });
}

class GraphBench {
  constructor(
    private readonly model: string,
    private readonly settings: GraphsSettings,
    private readonly options: GraphsOptions,
    private readonly folder: string,
  ) {}

  async run(): Promise<BenchGraphs> {
    const { model, settings, options } = this;
    using file = OnnxFile.open(model);
    const network = relate(file);
    const runtime = new Runtime(1, this.folder);
    const reader = { model, graph: network.graph, runtime };
    const { eval: path, scratch } = settings;
    using samples = await samplesIn({ path, images: settings, scratch }, reader, options.signal);
    const measured = (path: string) => this.measured(network, samples, path);
    const onStage = withBytes(null, options.onProgress);
    const report = stageReporter(onStage, 'measure', 2 * settings.sparsities.length);
    const dense = await measured(model);
    const models = settings.keepModels ? resolve(settings.output, 'models') : this.folder;
    await makeFolder(models);
    const rows: BenchGraphRow[] = [];
    for (const sparsity of settings.sparsities) {
      const [ours, sliced] = ['refit', 'slice-l2'].map((method) =>
        join(models, settings.keepModels ? `${method}-${sparsity}.onnx` : `${method}.onnx`),
      );
      report(rows.length, `pruned by ${sparsity}`);
      const result = await this.pruned(ours!, sparsity);
      const { seconds: pruneSeconds, parametersAfter } = result;
      rows.push({ method: 'refit', sparsity, pruneSeconds, ...(await measured(ours!)) });
      report(rows.length, 'sliced to as many parameters');
      const start = performance.now();
      if (!(await sliceByNorm(model, sliced!, parametersAfter))) continue;
      const seconds = (performance.now() - start) / 1000;
      const rival = await measured(sliced!);
      rows.push({ method: 'slice-l2', sparsity, pruneSeconds: seconds, ...rival });
    }
    return {
      model: { name: basename(model), path: model },
      evaluationSamples: samples.count,
      losses: lossesOf(network),
      dense,
      rows,
    };
  }

  private pruned(output: string, sparsity: number) {
    const { model, settings, options } = this;
    const { calibration, scratch } = settings;
    const { imageSize, imageFit, imageMean, imageStd, imageChannels } = settings;
    const images = { imageSize, imageFit, imageMean, imageStd, imageChannels };
    const { threads, memory, signal } = options;
    const files = { output, calibration, scratch, force: true };
    return pruneGraph(model, { ...files, ...images, sparsity, threads, memory, signal });
  }

  /** A graph as it is in its file. */
  private async measured(
    network: Network,
    samples: Samples,
    path: string,
  ): Promise<BenchMeasuredGraph> {
    const { model, settings } = this;
    using file = OnnxFile.open(path);
    const counts = new Counts(relate(file), [], rowsOfMaps(file, samples)).after();
    const [one, two] = [1, 2].map((threads) => new Runtime(threads, this.folder));
    const { loss, agreement } = await compare([model, path], samples, lossesOf(network), {
      runtime: two!,
      room: { memory: 0, scratch: this.folder },
      between: () => this.options.signal?.throwIfAborted(),
    });
    return {
      ...counts,
      ...{ fileBytes: file.bytes, loss, agreement },
      secondsOneThread: await timed(one!, path, samples, settings.repeats),
      secondsTwoThreads: await timed(two!, path, samples, settings.repeats),
    };
  }
}
