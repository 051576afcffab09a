/** Inputs of a graph out of a safetensors file: tensors by the names of the inputs, samples along their first axis. */
import { createHash } from 'node:crypto';
import { type ContainerTensor, parseSafetensors } from '../../../checkpoint/container';
import { asStruPruneError, StruPruneError } from '../../../errors';
import { dimsStated } from '../constants';
import type { Dim } from '../dims';
import type { GraphProto, ValueInfoProto } from '../onnx/onnx_pb';
import { FileSource, piecesOf, Range } from '../onnx/source';
import type { Activations, Elements, Runtime } from './runtime';

/** Samples that are run at once where the graph leaves the number open. */
const BATCH = 8;

interface Kind {
  /** As safetensors and onnxruntime have it. */
  stored: string;
  type: string;
  of: (bytes: Uint8Array<ArrayBuffer>) => Elements;
}

/** By TensorProto.DataType. */
const KINDS: Readonly<Record<number, Kind>> = {
  1: { stored: 'F32', type: 'float32', of: ({ buffer }) => new Float32Array(buffer) },
  2: { stored: 'U8', type: 'uint8', of: (bytes) => bytes },
  3: { stored: 'I8', type: 'int8', of: ({ buffer }) => new Int8Array(buffer) },
  6: { stored: 'I32', type: 'int32', of: ({ buffer }) => new Int32Array(buffer) },
  7: { stored: 'I64', type: 'int64', of: ({ buffer }) => new BigInt64Array(buffer) },
  9: { stored: 'BOOL', type: 'bool', of: (bytes) => bytes },
  10: { stored: 'F16', type: 'float16', of: ({ buffer }) => new Uint16Array(buffer) },
  11: { stored: 'F64', type: 'float64', of: ({ buffer }) => new Float64Array(buffer) },
};

interface Input {
  name: string;
  kind: Kind;
  tensor: ContainerTensor;
  /** Undefined: the same for every sample. */
  first: Dim | undefined;
}

export class Samples implements Disposable {
  private constructor(
    readonly path: string,
    readonly count: number,
    /** Samples that are run at once. */
    private readonly batch: number,
    private readonly inputs: readonly Input[],
    private readonly file: FileSource,
  ) {}

  /**
   * @throws StruPruneError ERR_NOT_FOUND, ERR_CHECKPOINT; ERR_ARGUMENT where a tensor is missing or does not fit its input,
   *   ERR_NAN
   */
  static open(path: string, graph: GraphProto): Samples {
    const constants = new Set(graph.initializer.map(({ name }) => name));
    const wanted = graph.input.filter(({ name }) => !constants.has(name));
    const { tensors } = headerOf(path);
    const inputs = wanted.map((info) => inputOf(path, info, tensors));
    const [count, batch] = countOf(path, inputs);
    const file = new FileSource(path);
    const samples = new Samples(path, count, batch, inputs, file);
    try {
      for (const input of inputs) samples.requireFinite(input);
    } catch (error) {
      samples[Symbol.dispose]();
      throw error;
    }
    return samples;
  }

  /** What one run takes, batch after batch. */
  *batches(runtime: Runtime): Generator<Activations> {
    for (let at = 0; at < this.count; at += this.batch) {
      const count = Math.min(this.batch, this.count - at);
      const feeds = this.inputs.map(({ name, kind, tensor, first }) => {
        const { shape, offset, bytes } = tensor;
        const each = first === undefined ? bytes : bytes / this.count;
        const [from, length] = first === undefined ? [0, bytes] : [at * each, count * each];
        const data = kind.of(this.file.read(offset + from, length));
        const dims = first === undefined ? shape : [count, ...shape.slice(1)];
        return [name, runtime.tensor(kind.type, data, dims)];
      });
      yield Object.fromEntries(feeds);
    }
  }

  /** SHA-256 of the samples. */
  hash(): string {
    const hash = createHash('sha256');
    for (const { name, tensor } of this.inputs) {
      hash.update(JSON.stringify([name, tensor.dtype, tensor.shape]));
      for (const piece of piecesOf(this.rangeOf(tensor))) hash.update(piece);
    }
    return hash.digest('hex');
  }

  [Symbol.dispose](): void {
    this.file.close();
  }

  private rangeOf({ offset, bytes }: ContainerTensor): Range {
    return new Range(this.file, offset, bytes);
  }

  private requireFinite({ name, kind, tensor }: Input): void {
    if (kind.type !== 'float32' && kind.type !== 'float64') return;
    for (const piece of piecesOf(this.rangeOf(tensor))) {
      if ((kind.of(piece) as Float32Array).every(Number.isFinite)) continue;
      throw new StruPruneError(
        'ERR_NAN',
        `${this.path} has values in ${name} that are not finite`,
        'make the samples anew',
      );
    }
  }
}

function headerOf(path: string) {
  try {
    return parseSafetensors(path);
  } catch (error) {
    throw asStruPruneError(error);
  }
}

function inputOf(path: string, info: ValueInfoProto, tensors: ContainerTensor[]): Input {
  const { name } = info;
  const type = info.type?.value;
  const kind = type?.case === 'tensorType' ? KINDS[type.value.elemType] : undefined;
  if (!kind) {
    throw new StruPruneError(
      'ERR_UNSUPPORTED',
      `input ${name} of the graph is of a type that this program does not give it`,
      'export the model with tensors of numbers as inputs',
    );
  }
  const tensor = tensors.find((each) => each.name === name);
  if (!tensor) {
    const names = tensors.map((each) => each.name).join(', ');
    throw mismatch(
      `${path} has no tensor ${name}, which is an input of the graph`,
      `it has ${names}`,
    );
  }
  if (tensor.dtype !== kind.stored) {
    throw mismatch(`${name} in ${path} is ${tensor.dtype}`, `the graph takes ${kind.stored}`);
  }
  const dims = dimsStated(info) ?? tensor.shape;
  const [, ...rest] = dims;
  const fits =
    tensor.shape.length === dims.length &&
    rest.every((dim, i) => typeof dim === 'string' || dim === tensor.shape[i + 1]);
  if (!fits) {
    throw mismatch(
      `${name} in ${path} is [${tensor.shape.join(', ')}]`,
      `the graph takes [samples${rest.map((dim) => `, ${typeof dim === 'string' ? '*' : dim}`).join('')}]`,
    );
  }
  return { name, kind, tensor, first: dims[0] };
}

/** Samples, and how many are run at once. */
function countOf(path: string, inputs: readonly Input[]): [count: number, batch: number] {
  const along = inputs.filter(({ first }) => first !== undefined);
  const counts = [...new Set(along.map(({ tensor }) => tensor.shape[0]!))];
  const [count] = counts;
  if (counts.length !== 1 || count === 0) {
    throw mismatch(
      `the first axes in ${path} have ${counts.join(', ') || 'no'} samples`,
      'every input has the same number of them, one at least',
    );
  }
  const fixed = along.map(({ first }) => first).find((first) => typeof first === 'number');
  if (fixed === undefined) return [count!, BATCH];
  if (count! % (fixed as number) === 0) return [count!, fixed as number];
  throw mismatch(
    `${path} has ${count} samples`,
    `the graph takes ${fixed} at once: give a multiple of them`,
  );
}

function mismatch(found: string, wanted: string): StruPruneError {
  return new StruPruneError('ERR_ARGUMENT', found, wanted);
}
