/** A graph pruned, sliced to equal sizes, and as others pruned it: what is lost on samples that calibrated nothing, and what it saves. */
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
import { StruPruneError } from '../../errors';
import { OnnxFile } from '../../models/graphs/onnx/file';
import type { GraphProto } from '../../models/graphs/onnx/onnx_pb';
import { type Network, relate } from '../../models/graphs/relate';
import { openInferred } from '../../models/graphs/run/inferred';
import { lossesOf } from '../../models/graphs/run/losses';
import { compare } from '../../models/graphs/run/measured';
import { countsOf } from '../../models/graphs/run/multiply-adds';
import { Runtime } from '../../models/graphs/run/runtime';
import { inputsOf, type Samples } from '../../models/graphs/run/samples';
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
 * Every sparsity twice: by pruneGraph(), and as a slice by L2 norm of at most as many parameters; then the rivals. Throws as pruneGraph(),
 * and ERR_ARGUMENT for a rival whose inputs or outputs are not the model's.
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
  const { scratch, rivals, ...rest } = settings;
  const about = {
    command: commandLine(
      ['bench', 'graphs', model],
      [
        ...Object.entries({ ...rest, threads, memory }),
        ...rivals.map((rival): [string, string] => ['rivals', rival]),
      ],
    ),
    machine,
    seed: 0,
    settings: { ...settings },
  };
  return documentOf(started, about, { graphs });
}

/** What is measured before times are taken. */
type Untimed<Row> = Omit<Row, 'secondsOneThread' | 'secondsTwoThreads'>;

class GraphBench {
  constructor(
    private readonly model: string,
    private readonly settings: GraphsSettings,
    private readonly options: GraphsOptions,
    private readonly folder: string,
  ) {}

  async run(): Promise<BenchGraphs> {
    const { model, settings, options } = this;
    const runtime = new Runtime(1, this.folder);
    using file = await openInferred(model, runtime, this.folder);
    const network = relate(file);
    const reader = { model, graph: network.graph, runtime };
    const { eval: path, scratch } = settings;
    for (const rival of settings.rivals) requireRival(rival, network.graph);
    const { note } = this;
    using samples = await samplesIn(
      { path, images: settings, scratch, note },
      reader,
      options.signal,
    );
    const measured = (path: string) => this.measured(network, samples, path);
    const onStage = withBytes(null, options.onProgress);
    const steps = 2 * settings.sparsities.length + settings.rivals.length + 1;
    const report = stageReporter(onStage, 'measure', steps);
    const dense = await measured(model);
    const models = settings.keepModels ? resolve(settings.output, 'models') : this.folder;
    await makeFolder(models);
    const paths = [model];
    const rows: Untimed<BenchGraphRow>[] = [];
    const add = async (
      path: string,
      row: Pick<BenchGraphRow, 'method' | 'pruneSeconds'>,
      asked?: number,
    ) => {
      const one = await measured(path);
      const name = row.method === 'rival' ? basename(path, '.onnx') : null;
      const sparsity = asked ?? 1 - one.weights / dense.weights;
      rows.push({ ...row, name, sparsity, ...one });
      paths.push(path);
    };
    for (const sparsity of settings.sparsities) {
      const [ours, sliced] = ['refit', 'slice-l2'].map((method) =>
        join(models, `${method}-${sparsity}.onnx`),
      );
      report(rows.length, `pruned by ${sparsity}`);
      const { seconds: pruneSeconds, parametersAfter } = await this.pruned(ours!, sparsity);
      await add(ours!, { method: 'refit', pruneSeconds }, sparsity);
      report(rows.length, 'sliced to as many parameters');
      const start = performance.now();
      if (!(await sliceByNorm(model, sliced!, parametersAfter))) continue;
      const seconds = (performance.now() - start) / 1000;
      await add(sliced!, { method: 'slice-l2', pruneSeconds: seconds }, sparsity);
    }
    for (const path of settings.rivals) {
      report(rows.length, basename(path));
      await add(path, { method: 'rival', pruneSeconds: null });
    }
    report(steps - 1, 'times in onnxruntime');
    const timing = { repeats: settings.repeats, between: this.between };
    const one = await timed(paths, samples, runtime, timing);
    const two = await timed(paths, samples, new Runtime(2, this.folder), timing);
    const times = (i: number) => ({ secondsOneThread: one[i]!, secondsTwoThreads: two[i]! });
    return {
      model: { name: basename(model), path: model },
      evaluationSamples: samples.count,
      losses: lossesOf(network),
      dense: { ...dense, ...times(0) },
      rows: rows.map((row, i) => ({ ...row, ...times(i + 1) })),
    };
  }

  private readonly heard = new Set<string>();

  /** Every run says the same again. */
  private readonly note = (text: string) => {
    if (!this.heard.has(text)) this.options.onNotice?.(text);
    this.heard.add(text);
  };

  private readonly between = () => this.options.signal?.throwIfAborted();

  private pruned(output: string, sparsity: number) {
    const { model, settings, options } = this;
    const { calibration, scratch, scope, allocation, multiple } = settings;
    const method = { scope, allocation, multiple };
    const { imageSize, imageFit, imagePreset, imageMean, imageStd, imageChannels } = settings;
    const images = { imageSize, imageFit, imagePreset, imageMean, imageStd, imageChannels };
    const { threads, memory, signal } = options;
    const files = { output, calibration, scratch, force: true, onNotice: this.note };
    return pruneGraph(model, { ...files, ...images, ...method, sparsity, threads, memory, signal });
  }

  /** A graph as it is in its file. */
  private async measured(
    network: Network,
    samples: Samples,
    path: string,
  ): Promise<Untimed<BenchMeasuredGraph>> {
    const { model } = this;
    const runtime = new Runtime(2, this.folder);
    using file = await openInferred(path, runtime, this.folder);
    const counts = countsOf(file, samples);
    const { loss, agreement } = await compare([model, path], samples, lossesOf(network), {
      runtime,
      room: { memory: 0, scratch: this.folder },
      between: this.between,
    });
    return { ...counts, fileBytes: file.bytes, loss, agreement };
  }
}

/** @throws StruPruneError ERR_ARGUMENT */
function requireRival(path: string, of: GraphProto): void {
  using file = OnnxFile.open(path);
  const names = (graph: GraphProto) =>
    [inputsOf(graph), graph.output].map((all) => all.map(({ name }) => name).join(', '));
  const [its, ours] = [names(file.model.graph!), names(of)];
  if (its.join() === ours.join()) return;
  throw new StruPruneError(
    'ERR_ARGUMENT',
    `${path} reads ${its[0]} and gives ${its[1]}, where the model reads ${ours[0]} and gives ${ours[1]}`,
    'give graphs of the same inputs and outputs to --rivals',
  );
}
