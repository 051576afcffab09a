/** Runs graphs by onnxruntime-node, an optional peer. */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { StruPruneError } from '../../../errors';
import { packageRoot } from '../../../package-root';
import type { OnnxFile } from '../onnx/file';
import { ValueInfoProtoSchema } from '../onnx/onnx_pb';
import { removeUnused } from '../slice';

const PACKAGE = 'onnxruntime-node';
/** What this program is tested with. */
const VERSION = '1.30.0';

export type Elements =
  | Float32Array
  | Float64Array
  | Int32Array
  | BigInt64Array
  | Uint16Array
  | Uint8Array
  | Int8Array;

/** A tensor as onnxruntime has it. */
export interface Activation {
  type: string;
  data: Elements;
  dims: readonly number[];
}

export type Activations = Readonly<Record<string, Activation>>;

/** What this program uses of the package. */
interface OnnxRuntime {
  InferenceSession: {
    create(path: string, options: Record<string, unknown>): Promise<InferenceSession>;
  };
  Tensor: new (type: string, data: Elements, dims: readonly number[]) => Activation;
}

interface InferenceSession {
  run(feeds: Activations): Promise<Activations>;
  release(): Promise<void>;
}

/** @throws StruPruneError ERR_NOT_FOUND where it is not installed */
function load(): OnnxRuntime {
  for (const folder of [process.cwd(), packageRoot()]) {
    try {
      return createRequire(join(folder, 'index.js'))(PACKAGE);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error;
    }
  }
  throw new StruPruneError(
    'ERR_NOT_FOUND',
    `an ONNX graph is run by ${PACKAGE}, which is not installed`,
    `install it with: npm install ${PACKAGE}@${VERSION}`,
  );
}

export class Runtime {
  private readonly runtime = load();

  /** `folder`: for the graphs that are run. */
  constructor(
    private readonly threads: number,
    private readonly folder: string,
  ) {}

  tensor(type: string, data: Elements, dims: readonly number[]): Activation {
    return new this.runtime.Tensor(type, data, dims);
  }

  /** The part of a graph, as it is now, that computes those values. */
  async part(file: OnnxFile, values: readonly string[]): Promise<Session> {
    const path = join(this.folder, 'part.onnx');
    await writePart(file, values, path);
    return this.open(path);
  }

  /** @throws StruPruneError ERR_UNSUPPORTED where onnxruntime refuses the model */
  async open(path: string): Promise<Session> {
    try {
      const options = { intraOpNumThreads: this.threads, logSeverityLevel: 3 };
      return new Session(await this.runtime.InferenceSession.create(path, options));
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
  constructor(private readonly session: InferenceSession) {}

  run(feeds: Activations): Promise<Activations> {
    return this.session.run(feeds);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.session.release();
  }
}

async function writePart(file: OnnxFile, values: readonly string[], path: string): Promise<void> {
  const graph = file.model.graph!;
  const { node, initializer, output } = graph;
  try {
    graph.output = values.map(
      (name) => output.find((each) => each.name === name) ?? create(ValueInfoProtoSchema, { name }),
    );
    removeUnused(graph);
    await file.write(path, { replace: true });
  } finally {
    Object.assign(graph, { node, initializer, output });
  }
}
