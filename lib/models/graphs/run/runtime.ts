/** Runs graphs by onnxruntime-node, an optional peer. */
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { StruPruneError } from '../../../errors';
import { type OnnxFile, tensorsOf } from '../onnx/file';
import { widened } from '../onnx/floats';
import {
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from '../onnx/onnx_pb';
import { captured } from '../relate';
import { removeUnused } from '../slice';
import type { Elements } from './elements';
import { peer } from './peer';

/** A tensor as onnxruntime has it. */
export interface Activation {
  type: string;
  data: Elements;
  dims: readonly number[];
}

/** Floats of an activation of 32 or 16 bits; null of any other. */
export function floatsOf({ type, data }: Activation): Float32Array | null {
  if (data instanceof Float32Array) return data;
  if (type !== 'float16') return null;
  // Where Node has a Float16Array it is one.
  return widened(new Uint16Array(data.buffer, data.byteOffset, data.length));
}

export type Activations = Readonly<Record<string, Activation>>;

/** What this program uses of the package. */
interface OnnxRuntime {
  InferenceSession: {
    create(path: string, options: Record<string, unknown>): Promise<InferenceSession>;
  };
  Tensor: new (type: string, data: Elements, dims: readonly number[]) => Activation;
}

/** What onnxruntime knows of a value before anything runs. */
export interface Inferred {
  name: string;
  isTensor: boolean;
  /** As tensors have it. */
  type: string;
  /** Numbers, and names of sizes that differ from run to run; none where it is not known. */
  shape: readonly (number | string)[];
}

interface InferenceSession {
  readonly outputMetadata: readonly Inferred[];
  run(feeds: Activations): Promise<Activations>;
  release(): Promise<void>;
}

/** Nodes of a graph between values that are known and values that are wanted. */
export interface Part {
  inputs: readonly ValueInfoProto[];
  nodes: readonly NodeProto[];
  outputs: readonly string[];
}

const NO_TENSORS: ReadonlySet<TensorProto> = new Set();

export class Runtime {
  /** Nodes of parts that have run, each as often as it did. */
  executed = 0;
  /** Nodes of parts that were opened. */
  opened = 0;
  private readonly runtime = peer<OnnxRuntime>('onnxruntime-node', 'an ONNX graph is run');

  /** `folder`: for the graphs that are run. */
  constructor(
    private readonly threads: number,
    private readonly folder: string,
  ) {}

  /** The same with another folder. */
  with(folder: string): Runtime {
    return new Runtime(this.threads, folder);
  }

  tensor(type: string, data: Elements, dims: readonly number[]): Activation {
    return new this.runtime.Tensor(type, data, dims);
  }

  /** A part of a graph, as it is now. */
  async part(file: OnnxFile, part: Part, options = {}): Promise<Session> {
    const path = this.fileFor('part.onnx');
    const { nodes, tensors } = await writePart(file, part, path);
    this.opened += nodes;
    const onRun = () => {
      this.executed += nodes;
    };
    return this.open(path, { ...options, onRun, tensors });
  }

  fileFor(name: string): string {
    return join(this.folder, name);
  }

  /**
   * `plansMemory`: as onnxruntime does by itself from the second run of a size on, which takes memory for all values of a run beside
   * what the first one took. @throws StruPruneError ERR_UNSUPPORTED where onnxruntime refuses the model
   */
  async open(
    path: string,
    { onRun = () => {}, plansMemory = false, optimises = true, tensors = NO_TENSORS } = {},
  ): Promise<Session> {
    try {
      const options = {
        intraOpNumThreads: this.threads,
        enableMemPattern: plansMemory,
        ...(!optimises && { graphOptimizationLevel: 'disabled' }),
        logSeverityLevel: 3,
      };
      const session = await this.runtime.InferenceSession.create(path, options);
      return new Session(session, onRun, tensors);
    } catch (error) {
      throw new StruPruneError(
        'ERR_UNSUPPORTED',
        `onnxruntime does not load the model: ${(error as Error).message}`,
        'check it with onnx.checker, or export it again',
        { cause: error },
      );
    }
  }
}

export class Session implements AsyncDisposable {
  constructor(
    private readonly session: InferenceSession,
    private readonly onRun: () => void,
    /** Constants of the part that it runs. */
    readonly tensors: ReadonlySet<TensorProto>,
  ) {}

  get outputs(): readonly Inferred[] {
    return this.session.outputMetadata;
  }

  /** @throws StruPruneError ERR_UNSUPPORTED where a node does not take what it is given */
  async run(feeds: Activations): Promise<Activations> {
    this.onRun();
    try {
      return await this.session.run(feeds);
    } catch (error) {
      throw new StruPruneError(
        'ERR_UNSUPPORTED',
        `onnxruntime does not run the model on these samples: ${(error as Error).message}`,
        'run it in onnxruntime on several samples at once; export one that takes a single sample with a batch of 1',
        { cause: error },
      );
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.session.release();
  }
}

/** Gives the number of its nodes, and its constants. */
async function writePart(file: OnnxFile, { inputs, nodes, outputs }: Part, path: string) {
  const graph = file.model.graph!;
  const { node, initializer, input, output, valueInfo } = graph;
  try {
    graph.output = outputs.map(
      (name) => output.find((each) => each.name === name) ?? create(ValueInfoProtoSchema, { name }),
    );
    Object.assign(graph, { node: nodes, input: [], valueInfo: [] });
    removeUnused(graph);
    const read = new Set(graph.node.flatMap((each) => [...each.input, ...captured(each)]));
    graph.input = inputs.filter(({ name }) => read.has(name));
    await file.write(path, { replace: true, passing: true });
    return { nodes: graph.node.length, tensors: new Set(tensorsOf(graph)) };
  } finally {
    Object.assign(graph, { node, initializer, input, output, valueInfo });
  }
}
