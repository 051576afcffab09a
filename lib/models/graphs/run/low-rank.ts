/**
 * Maps, and tables that are looked up, as two of lower rank (docs/decisions/0049). Every one that can be is written as a product of two, of full rank: what lies
 * between them are the principal components of what the map gives, so that a unit of that axis is a singular direction, and the axis a
 * site like any other. What is no smaller as two is one map again when the graph is written.
 */
import { create } from '@bufbuild/protobuf';
import type { Statistics } from '../../../engine/statistics';
import type { Store } from '../../../engine/store';
import { elements } from '../../../model/axes';
import { inTurns, type Steps } from '../../../turns';
import type { OnnxFile } from '../onnx/file';
import {
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProtoSchema,
} from '../onnx/onnx_pb';
import { dimsOf, FLOAT } from '../onnx/tensor';
import { captured, type Network } from '../relate';
import { eigen, orthonormal } from './eigen';
import type { Factored, Whole } from './factored';
import { inOrder } from './patches';
import { requireRoom } from './room';
import { rowsOf } from './rows';
import type { Runtime } from './runtime';
import type { Samples } from './samples';
import { meansIn, subtract } from './sums';
import { putFloats, tensorFloats } from './weights';

/** Ranks beyond take too long to find; outputs beyond too much memory. */
const MOST_RANK = 1024;
const MOST_OUTPUTS = 4096;
/** Of less there is nothing to gain. */
const LEAST_RANK = 8;
/** What looks rows of a map up. */
const TABLE = 'Gather';
/** Sums of outputs at once, in doubles. */
const AT_ONCE = 1 << 25;

interface Wanted {
  /** A refit may change biases. */
  fits: boolean;
  /** Tables that are looked up too, whose products count where parameters do. */
  tables: boolean;
}

interface Around {
  samples: Samples;
  runtime: Runtime;
  /** Bytes that the run may take; 0: no limit. */
  memory: number;
  /** Called before every batch and map; may throw. */
  between: () => void;
}

/** Takes the maps of a graph apart, by what they give for the samples. */
export async function factorMaps(
  file: OnnxFile,
  network: Network,
  { store, fits, tables, ...around }: Around & Wanted & { store: Store },
): Promise<Factored[]> {
  const factored: Factored[] = [];
  const batches = inBatches(wholesOf(network, { fits, tables }));
  requireRoom(around.memory, Math.max(0, ...batches.map(bytesOf)), 'maps as two of lower rank');
  for (const together of batches) {
    const sums = together.map(({ out }) => store.statistics(out, { gram: true }));
    try {
      const means = await addOutputs(file, together, sums, around);
      for (const [i, whole] of together.entries()) {
        around.between();
        const basis = await inTurns(
          basisOf(weightOf(file, whole), whole, covarianceOf(sums[i]!, means[i]!)),
        );
        factored.push(await inTurns(factor(file, network, whole, basis)));
      }
    } finally {
      for (const each of sums) await each[Symbol.asyncDispose]();
    }
  }
  return factored;
}

/**
 * Puts what is no smaller as two together again, and what is added between two into what is added behind them. The graph has been
 * sliced. Gives the biases that have changed.
 */
export async function joinMaps(
  file: OnnxFile,
  factored: readonly Factored[],
  isChanged: (tensor: TensorProto) => boolean,
): Promise<TensorProto[]> {
  const graph = file.model.graph!;
  const gone = new Set<NodeProto | TensorProto>();
  const changed: TensorProto[] = [];
  for (const each of factored) {
    const { node, first, adds, tensor, down, up, between, bias, outFirst, opType } = each;
    const shape = shapeOf(each);
    const { rank, columns, out } = shape;
    if (between && bias) {
      if (isChanged(between)) {
        addTo(file, bias, await inTurns(productOf(file, between, up, { ...shape, columns: 1 })));
        changed.push(bias);
      }
      gone.add(between);
      first.input = first.input.slice(0, 2);
      if (adds) {
        node.input[0] = first.output[0]!;
        gone.add(adds);
      }
    }
    if (rank * (columns + out) < columns * out) continue;
    const isWhole = rank === each.rank && columns * out === elements(dimsOf(tensor));
    if (!isWhole || isChanged(down) || isChanged(up)) {
      const [reads, gives] = [dimsOf(down), dimsOf(up)];
      const dims = outFirst ? [gives[0]!, ...reads.slice(1)] : [reads[0]!, gives[1]!];
      putFloats(file, tensor, dims, await inTurns(productOf(file, down, up, shape)));
    }
    node.attribute = each.attribute;
    node.opType = opType;
    const read = first.input[opType === TABLE ? 1 : 0]!;
    node.input =
      opType === TABLE ? [tensor.name, read] : [read, tensor.name, ...node.input.slice(2)];
    graph.initializer.push(tensor);
    for (const part of [first, down, up]) gone.add(part);
  }
  graph.node = graph.node.filter((each) => !gone.has(each));
  graph.initializer = graph.initializer.filter((each) => !gone.has(each));
  return changed;
}

/** `columns` and `out` are those that are left. */
interface Shape {
  rank: number;
  columns: number;
  out: number;
  outFirst: boolean;
}

/** Of a map as two, as it is now. */
function shapeOf({ down, up, outFirst }: Factored): Shape {
  const rank = dimsOf(down)[outFirst ? 0 : 1]!;
  const [columns, out] = [down, up].map((part) => elements(dimsOf(part)) / rank);
  return { rank, columns: columns!, out: out!, outFirst };
}

function wholesOf(network: Network, { fits, tables }: Wanted): Whole[] {
  const { graph, values } = network;
  const readers = new Map<string, NodeProto[]>();
  for (const node of graph.node) {
    for (const name of [...node.input, ...captured(node)]) {
      readers.set(name, [...(readers.get(name) ?? []), node]);
    }
  }
  const outputs = new Set(graph.output.map(({ name }) => name));
  /** A constant that one node alone reads. */
  const own = (name: string | undefined) => {
    const tensor = name ? values.get(name)?.tensor : undefined;
    return tensor?.dataType === FLOAT && readers.get(name!)?.length === 1 ? tensor : null;
  };
  return graph.node.flatMap((node) => {
    const isTable = node.opType === TABLE;
    const [map, by] = isTable ? [0, 1] : [1, 0];
    const tensor = own(node.input[map]);
    const outFirst = tensor && outFirstOf(node, dimsOf(tensor));
    if (outFirst === null || values.get(node.input[by]!)?.constant !== false) return [];
    if (isTable && !tables) return [];
    const dims = dimsOf(tensor!);
    const out = outFirst ? dims[0]! : dims[1]!;
    const columns = elements(dims) / out;
    const rank = Math.min(columns, out);
    if (rank < LEAST_RANK || rank > MOST_RANK || out > MOST_OUTPUTS) return [];
    const bias = fits ? own(biasNameOf(node, readers.get(node.output[0]!) ?? [], outputs)) : null;
    const isVector = bias !== null && String(dimsOf(bias)) === String(out);
    return { node, tensor: tensor!, columns, out, rank, outFirst, bias: isVector ? bias : null };
  });
}

/** How a map lies in the file that can be two; null: it cannot. */
function outFirstOf(
  { domain, opType, attribute }: NodeProto,
  dims: readonly number[],
): boolean | null {
  const set = (name: string) => Number(attribute.find((each) => each.name === name)?.i ?? 0n);
  const scaled = attribute.some(({ name, f }) => (name === 'alpha' || name === 'beta') && f !== 1);
  if (domain !== '' && domain !== 'ai.onnx') return null;
  if (opType === 'Conv') return dims.length > 2 && set('group') <= 1 ? true : null;
  if (dims.length !== 2) return null;
  if (opType === 'MatMul' || (opType === TABLE && set('axis') === 0)) return false;
  return opType === 'Gemm' && !scaled && set('transA') === 0 ? set('transB') === 1 : null;
}

/** The vector that is added to what a map gives: the node's own, or of an Add that alone reads it. */
function biasNameOf(
  { opType, input, output }: NodeProto,
  readers: readonly NodeProto[],
  outputs: ReadonlySet<string>,
): string | undefined {
  if (opType === TABLE) return undefined;
  if (opType !== 'MatMul') return input[2];
  const [added] = readers;
  if (readers.length !== 1 || added!.opType !== 'Add' || outputs.has(output[0]!)) return undefined;
  return added!.input.find((name) => name !== output[0]);
}

function inBatches(wholes: readonly Whole[]): Whole[][] {
  const batches: Whole[][] = [];
  let left = 0;
  for (const whole of wholes) {
    const size = whole.out ** 2;
    if (size > left) {
      batches.push([]);
      left = AT_ONCE;
    }
    left -= size;
    batches.at(-1)!.push(whole);
  }
  return batches;
}

/** The sums of all, and of the largest four matrices of doubles and its weights. */
function bytesOf(wholes: readonly Whole[]): number {
  const sums = wholes.reduce((sum, { out }) => sum + out ** 2, 0);
  const most = wholes.map(({ columns, out }) => 4 * out ** 2 + 3 * columns * out);
  return 8 * (sums + Math.max(...most));
}

/** Adds what the maps give for all samples to the sums; of those with a bias less values that are given back. */
async function addOutputs(
  file: OnnxFile,
  wholes: readonly Whole[],
  sums: readonly Statistics[],
  { samples, runtime, between }: Around,
): Promise<(Float32Array | null)[]> {
  const means: (Float32Array | null)[] = wholes.map(() => null);
  const outputs = wholes.map(({ node }) => node.output[0]!);
  const { node: nodes } = file.model.graph!;
  await using session = await runtime.part(file, { inputs: samples.inputs, nodes, outputs });
  for (const feeds of samples.read()) {
    between();
    const values = await session.run(feeds);
    for (const [i, { node, out, bias }] of wholes.entries()) {
      const value = values[outputs[i]!]!;
      const positions = Int32Array.from({ length: out }, (_, o) => o);
      const axis = node.opType === 'Conv' ? 1 : value.dims.length - 1;
      const read = { activation: outputs[i]!, axis, channel: 0, places: inOrder };
      for (const rows of rowsOf(value, { kernel: 1, positions }, read)) {
        if (bias) {
          means[i] ??= meansIn(rows, out);
          subtract(rows, means[i]!);
        }
        await sums[i]!.add(rows, 'calibrating');
      }
    }
  }
  return means;
}

/** `[out, out]`: about the means where a bias takes those up (`centred`). */
function covarianceOf(statistics: Statistics, centred: Float32Array | null): Float64Array {
  const { dim } = statistics;
  const { sums, tokens } = statistics.read();
  const all = new Float64Array(dim * dim);
  for (let i = 0; i < dim; i++) {
    const row = statistics.gramRows(i, 1);
    for (let j = 0; j < dim; j++) {
      all[i * dim + j] = row[j]! - (centred ? (sums[i]! * sums[j]!) / tokens : 0);
    }
  }
  return all;
}

/** `[columns, out]`. */
function weightOf(file: OnnxFile, { tensor, columns, out, outFirst }: Whole): Float64Array {
  const stored = Float64Array.from(tensorFloats(file, tensor));
  return outFirst ? transposed(stored, out, columns) : stored;
}

function transposed(matrix: Float64Array, rows: number, columns: number): Float64Array {
  const turned = new Float64Array(matrix.length);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) turned[j * rows + i] = matrix[i * columns + j]!;
  }
  return turned;
}

/** A Bᵀ of `a` `[rows, inner]` and `b` `[columns, inner]`. */
function* timesTransposed(a: Float64Array, b: Float64Array, inner: number): Steps<Float64Array> {
  const [rows, columns] = [a.length / inner, b.length / inner];
  const product = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    const row = a.subarray(i * inner, (i + 1) * inner);
    for (let j = 0; j < columns; j++) {
      let sum = 0;
      for (let k = 0, at = j * inner; k < inner; k++) sum += row[k]! * b[at + k]!;
      product[i * columns + j] = sum;
    }
    yield;
  }
  return product;
}

/**
 * `[rank, out]`: orthonormal rows that span those of the map, by how much of what it gives lies along each (`covariance`, `[out, out]`).
 * Its best approximation of rank r is then W V_rᵀ V_r (docs/method.md).
 */
function* basisOf(
  weight: Float64Array,
  { columns, out }: Whole,
  covariance: Float64Array,
): Steps<Float64Array> {
  if (columns >= out) return (yield* eigen(covariance, out)).vectors;
  const rows = yield* orthonormal(weight, columns, out);
  const rank = rows.length / out;
  const half = yield* timesTransposed(rows, covariance, out);
  const { vectors } = yield* eigen(yield* timesTransposed(half, rows, out), rank);
  return yield* timesTransposed(vectors, transposed(rows, rank, out), rank);
}

/** Two nodes in the place of one. */
function* factor(
  file: OnnxFile,
  { graph, values }: Network,
  { node, tensor, columns, out, outFirst, bias }: Whole,
  basis: Float64Array,
): Steps<Factored> {
  const weight = weightOf(file, { node, tensor, columns, out, outFirst, bias, rank: 0 });
  const rank = basis.length / out;
  const read = yield* timesTransposed(weight, basis, out);
  const kernel = dimsOf(tensor).slice(2);
  const named = (end: string) => {
    let name = `${tensor.name}.${end}`;
    while (values.has(name)) name += '_';
    return name;
  };
  const made = (end: string, dims: number[], data: Float64Array) => {
    const part = create(TensorProtoSchema, { name: named(end), dataType: FLOAT });
    putFloats(file, part, dims, Float32Array.from(data));
    graph.initializer.push(part);
    return part;
  };
  const inputs = dimsOf(tensor)[1]!;
  const ones = kernel.map(() => 1);
  const down = outFirst
    ? made('down', [rank, inputs, ...kernel], transposed(read, columns, rank))
    : made('down', [columns, rank], read);
  const up = outFirst
    ? made('up', [out, rank, ...ones], transposed(basis, rank, out))
    : made('up', [rank, out], basis);
  const between = bias && made('between', [rank], new Float64Array(rank));
  const { opType, domain, name, attribute } = node;
  const isApart = opType === 'MatMul';
  const first = create(NodeProtoSchema, {
    ...{ opType, domain, attribute, name: name && `${name}.down` },
    input:
      opType === TABLE
        ? [down.name, node.input[1]!]
        : [node.input[0]!, down.name, ...(between && !isApart ? [between.name] : [])],
    output: [named('read')],
  });
  const adds =
    between && isApart
      ? create(NodeProtoSchema, {
          opType: 'Add',
          input: [first.output[0]!, between.name],
          output: [named('moved')],
        })
      : null;
  node.input = [(adds ?? first).output[0]!, up.name, ...node.input.slice(2)];
  if (opType === TABLE) node.opType = 'MatMul';
  if (opType === TABLE || kernel.length > 0) node.attribute = [];
  graph.node.splice(graph.node.indexOf(node), 0, ...[first, ...(adds ? [adds] : [])]);
  graph.node = graph.node.filter(({ output }) => output[0] !== tensor.name);
  graph.initializer = graph.initializer.filter((each) => each !== tensor);
  return { node, tensor, outFirst, bias, rank, first, adds, down, up, between, attribute, opType };
}

/** The map that two are, laid out as it was; of a vector in front of the second one what that makes of it. */
function* productOf(
  file: OnnxFile,
  left: TensorProto,
  right: TensorProto,
  { rank, columns, out, outFirst }: Shape,
): Steps<Float32Array<ArrayBuffer>> {
  const [read, given] = [left, right].map((part) =>
    Float64Array.from(tensorFloats(file, part)),
  ) as [Float64Array, Float64Array];
  const product = outFirst
    ? yield* timesTransposed(given, transposed(read, rank, columns), rank)
    : yield* timesTransposed(read, transposed(given, rank, out), rank);
  return Float32Array.from(product);
}

function addTo(file: OnnxFile, bias: TensorProto, more: Float32Array): void {
  const values = tensorFloats(file, bias);
  putFloats(
    file,
    bias,
    dimsOf(bias),
    values.map((value, i) => value + more[i]!),
  );
}
