/** Inputs of a graph: tensors by their names, samples along their first axis, out of a safetensors or .npz file, or of memory. */
import { createHash } from 'node:crypto';
import { type ContainerTensor, parseSafetensors } from '../../../checkpoint/container';
import { pieces } from '../../../checkpoint/pieces';
import { asStruPruneError, StruPruneError } from '../../../errors';
import { dimsStated } from '../constants';
import type { Dim } from '../dims';
import type { GraphProto, ValueInfoProto } from '../onnx/onnx_pb';
import { FileSource, piecesOf, Range, type Source } from '../onnx/source';
import { ALL, type Batches, elementTypeOf, infoOf } from './batches';
import { type Kind, kindOfInput } from './elements';
import { parseNpz } from './npz';
import type { Activations, Runtime } from './runtime';

/** Samples that are run at once where the graph leaves the number open: so many, or fewer that have so many bytes. */
const BATCH = 8;
const BATCH_BYTES = 2 ** 23;

/** Where samples lie. */
interface Arrays {
  /** What they are called. */
  path: string;
  tensors: ContainerTensor[];
  data: Source & { close?(): void };
  /** Bytes [start, end). */
  pieces: (start: number, end: number) => AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

interface Input {
  name: string;
  info: ValueInfoProto;
  dataType: number;
  kind: Kind;
  tensor: ContainerTensor;
  /** Undefined: the same for every sample. */
  first: Dim | undefined;
}

export class Samples implements Batches, Disposable {
  private constructor(
    readonly path: string,
    readonly count: number,
    /** Samples that are run at once. */
    readonly batch: number,
    private readonly wanted: readonly Input[],
    /** SHA-256 of the samples. */
    readonly sha256: string,
    private readonly data: Arrays['data'],
    private readonly runtime: Runtime,
  ) {}

  /**
   * @throws StruPruneError ERR_NOT_FOUND, ERR_CHECKPOINT; ERR_ARGUMENT where a tensor is missing or does not fit its input,
   *   ERR_NAN
   */
  static open(
    path: string,
    graph: GraphProto,
    runtime: Runtime,
    signal?: AbortSignal,
  ): Promise<Samples> {
    const read = (start: number, end: number) => pieces(path, { start, end, signal });
    const tensors = tensorsOf(path);
    return Samples.over(
      { path, tensors, data: new FileSource(path), pieces: read },
      graph,
      runtime,
    );
  }

  /** Of arrays that were made, one behind the other. @throws StruPruneError as open */
  static of(
    path: string,
    tensors: ContainerTensor[],
    data: Arrays['data'],
    graph: GraphProto,
    runtime: Runtime,
  ): Promise<Samples> {
    const pieces = (start: number, end: number) => piecesOf(new Range(data, start, end - start));
    return Samples.over({ path, tensors, data, pieces }, graph, runtime);
  }

  private static async over(arrays: Arrays, graph: GraphProto, runtime: Runtime): Promise<Samples> {
    const { path, tensors, data } = arrays;
    try {
      const inputs = inputsOf(graph).map((info) => inputOf(path, info, tensors));
      const [count, batch] = countOf(path, inputs);
      const sha256 = await checked(arrays, inputs);
      return new Samples(path, count, batch, inputs, sha256, data, runtime);
    } catch (error) {
      data.close?.();
      throw error;
    }
  }

  get inputs(): ValueInfoProto[] {
    return this.wanted.map(({ info }) => info);
  }

  /** The inputs of a whole batch, with all sizes. */
  get sized(): ValueInfoProto[] {
    return this.wanted.map(({ name, dataType, tensor, first }) =>
      infoOf(name, dataType, first === undefined ? [] : [this.batch, ...tensor.shape.slice(1)]),
    );
  }

  get batches(): number {
    return Math.ceil(this.count / this.batch);
  }

  /** What one run takes, batch after batch. */
  *read({ from: first, end } = ALL): Generator<Activations> {
    const last = Math.min(this.count, end * this.batch);
    for (let at = first * this.batch; at < last; at += this.batch) {
      const count = Math.min(this.batch, this.count - at);
      const feeds = this.wanted.map(({ name, kind, tensor, first }) => {
        const { shape, offset, bytes } = tensor;
        const each = first === undefined ? bytes : bytes / this.count;
        const [from, length] = first === undefined ? [0, bytes] : [at * each, count * each];
        const data = kind.of(this.data.read(offset + from, length));
        const dims = first === undefined ? shape : [count, ...shape.slice(1)];
        return [name, this.runtime.tensor(kind.type, data, dims)];
      });
      yield Object.fromEntries(feeds);
    }
  }

  [Symbol.dispose](): void {
    this.data.close?.();
  }
}

/** What a run gives: inputs that are no constants. */
export function inputsOf({ input, initializer }: GraphProto): ValueInfoProto[] {
  const constants = new Set(initializer.map(({ name }) => name));
  return input.filter(({ name }) => !constants.has(name));
}

/** SHA-256 of the samples. @throws StruPruneError ERR_NAN */
async function checked(arrays: Arrays, inputs: readonly Input[]): Promise<string> {
  const hash = createHash('sha256');
  for (const { name, kind, tensor } of inputs) {
    const { dtype, shape, offset: start, bytes } = tensor;
    hash.update(JSON.stringify([name, dtype, shape]));
    for await (const piece of arrays.pieces(start, start + bytes)) {
      hash.update(piece);
      if (areFinite(kind, piece)) continue;
      throw new StruPruneError(
        'ERR_NAN',
        `${arrays.path} has values in ${name} that are not finite`,
        'make the samples anew',
      );
    }
  }
  return hash.digest('hex');
}

function areFinite({ type, of }: Kind, bytes: Uint8Array): boolean {
  // All bits of the exponent are set.
  if (type === 'float16') {
    return (of(new Uint8Array(bytes)) as Uint16Array).every((bits) => (bits & 0x7c00) !== 0x7c00);
  }
  if (type !== 'float32' && type !== 'float64') return true;
  return (of(new Uint8Array(bytes)) as Float32Array).every(Number.isFinite);
}

function tensorsOf(path: string): ContainerTensor[] {
  if (path.endsWith('.npz')) return parseNpz(path);
  try {
    return parseSafetensors(path).tensors;
  } catch (error) {
    throw asStruPruneError(error);
  }
}

function inputOf(path: string, info: ValueInfoProto, tensors: ContainerTensor[]): Input {
  const { name } = info;
  const dataType = elementTypeOf(info);
  const kind = kindOfInput(name, dataType);
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
  return { name, info, dataType, kind, tensor, first: dims[0] };
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
  if (fixed === undefined) {
    const each = along.reduce((sum, { tensor }) => sum + tensor.bytes, 0) / count!;
    return [count!, Math.min(BATCH, Math.max(1, Math.floor(BATCH_BYTES / each)))];
  }
  if (count! % (fixed as number) === 0) return [count!, fixed as number];
  throw mismatch(
    `${path} has ${count} samples`,
    `the graph takes ${fixed} at once: give a multiple of them`,
  );
}

function mismatch(found: string, wanted: string): StruPruneError {
  return new StruPruneError('ERR_ARGUMENT', found, wanted);
}
