/** Elements of maps and biases in the file, read and changed. */
import { StruPruneError } from '../../../errors';
import type { OnnxFile } from '../onnx/file';
import { floatBytes, floatsIn, isFloat } from '../onnx/floats';
import type { TensorProto } from '../onnx/onnx_pb';
import { MemorySource, piecesOf, type Source } from '../onnx/source';
import { dimsOf, elementBytes } from '../onnx/tensor';
import type { Value } from '../value';
import { columnsOf, type Reader } from './readers';
import type { Refitted } from './sums';

/** Of maps, before anything is computed with them. @throws StruPruneError ERR_NAN */
export function requireFinite(file: OnnxFile, maps: Iterable<Value>): void {
  for (const { name, tensor } of maps) {
    if (!tensor || !isFloat(tensor.dataType)) continue;
    for (const piece of piecesOf(file.data(tensor))) {
      if (floatsIn(tensor.dataType, piece).every(Number.isFinite)) continue;
      throw new StruPruneError(
        'ERR_NAN',
        `${file.path} has weights in ${name} that are not finite`,
        'export the model again, or fetch it again where it is damaged',
      );
    }
  }
}

/** `[out, columns]`. */
export function weightOf(file: OnnxFile, reader: Reader): Float32Array {
  const [start, end] = spanOf(reader);
  const tensor = reader.map.tensor!;
  const bytes = elementBytes(tensor.dataType)!;
  const read = file.data(tensor).read(start * bytes, (end - start) * bytes);
  const all = floatsIn(tensor.dataType, read);
  const weight = new Float32Array(reader.out * columnsOf(reader));
  eachPlace(reader, (place, i) => {
    weight[i] = all[place - start]!;
  });
  return weight;
}

export function putRefitted(file: OnnxFile, refitted: readonly Refitted[]): void {
  const tensors = tensorsOf(refitted.map(({ reader }) => reader));
  const changed = new Map(tensors.map((tensor) => [tensor, tensorFloats(file, tensor)]));
  for (const { reader, weight, shift } of refitted) {
    const { map, bias, biasFirst, biasGain = 1 } = reader;
    const all = changed.get(map.tensor!)!;
    eachPlace(reader, (place, i) => {
      all[place] = weight[i]!;
    });
    shift?.forEach((gain, o) => {
      changed.get(bias!.tensor!)![biasFirst + o]! += biasGain * gain;
    });
  }
  for (const [tensor, values] of changed) {
    putBytes(file, tensor, floatBytes(tensor.dataType, values));
  }
}

/** What a refit of these readers changes. */
export function tensorsOf(readers: readonly Reader[]): TensorProto[] {
  const tensors = readers.flatMap(({ map, bias }) => [
    map.tensor!,
    ...(bias ? [bias.tensor!] : []),
  ]);
  return [...new Set(tensors)];
}

/** Runs `work`, and has the tensors again as they were. */
export async function restoring<T>(
  file: OnnxFile,
  tensors: readonly TensorProto[],
  work: () => Promise<T>,
): Promise<T> {
  const before = tensors.map((tensor): [TensorProto, Source] => [tensor, file.data(tensor)]);
  try {
    return await work();
  } finally {
    for (const [tensor, data] of before) file.replace(tensor, dimsOf(tensor), data);
  }
}

export function bytesOf(file: OnnxFile, tensor: TensorProto): Uint8Array<ArrayBuffer> {
  const data = file.data(tensor);
  return data.read(0, data.length);
}

export function putBytes(
  file: OnnxFile,
  tensor: TensorProto,
  bytes: Uint8Array<ArrayBuffer>,
): void {
  file.replace(tensor, dimsOf(tensor), new MemorySource(bytes));
}

/** 32-bit values in that shape. */
export function putFloats(
  file: OnnxFile,
  tensor: TensorProto,
  dims: number[],
  values: Float32Array<ArrayBuffer>,
): void {
  file.replace(tensor, dims, new MemorySource(new Uint8Array(values.buffer)));
}

export function tensorFloats(file: OnnxFile, tensor: TensorProto): Float32Array<ArrayBuffer> {
  return floatsIn(tensor.dataType, bytesOf(file, tensor));
}

/** Elements of the map from the reader's first one on, and where its last one ends. */
function spanOf(reader: Reader): [number, number] {
  const { out, kernel, kernelStep = 1, first, positionStep, positions } = reader;
  const last = positions.reduce((most, position) => Math.max(most, position), 0);
  return [
    first,
    first + outAt(reader, out - 1) + last * positionStep + (kernel - 1) * kernelStep + 1,
  ];
}

/** Visits where each weight of a reader, the i-th of `[out, columns]`, lies in its map. */
function eachPlace(reader: Reader, visit: (place: number, i: number) => void): void {
  const { out, kernel, kernelStep = 1, first, positionStep, positions } = reader;
  let i = 0;
  for (let o = 0; o < out; o++) {
    const row = first + outAt(reader, o);
    for (const position of positions) {
      const start = row + position * positionStep;
      for (let k = 0; k < kernel; k++) visit(start + k * kernelStep, i++);
    }
  }
}

function outAt({ outStep, outBlocks }: Reader, o: number): number {
  if (!outBlocks) return o * outStep;
  const { size, step } = outBlocks;
  return Math.floor(o / size) * step + (o % size) * outStep;
}
