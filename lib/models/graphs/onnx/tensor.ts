/** What a TensorProto holds, as raw_data would hold it: row-major, little-endian. */
import { fromBinary } from '@bufbuild/protobuf';

import { StruPruneError } from '../../../errors';
import { type TensorProto, TensorProtoSchema } from './onnx_pb';
import { MemorySource, type Source } from './source';
import { delimited, joined } from './wire';

/** TensorProto.DataType. */
export const FLOAT = 1;
export const UINT8 = 2;
export const INT32 = 6;
export const INT64 = 7;
export const BOOL = 9;
export const FLOAT16 = 10;
export const DOUBLE = 11;

/** Bytes an element, by TensorProto.DataType; those of less than a byte and strings are not in it. */
const BYTES: Record<number, number> = {
  [FLOAT]: 4,
  [UINT8]: 1,
  3: 1, // INT8
  4: 2, // UINT16
  5: 2, // INT16
  [INT32]: 4,
  [INT64]: 8,
  [BOOL]: 1,
  [FLOAT16]: 2,
  [DOUBLE]: 8,
  12: 4, // UINT32
  13: 8, // UINT64
  14: 8, // COMPLEX64
  15: 16, // COMPLEX128
  16: 2, // BFLOAT16
  17: 1, // FLOAT8E4M3FN and its kin
  18: 1,
  19: 1,
  20: 1,
  24: 1,
};

/** Fields of TensorProto that hold its data. */
export const RAW_DATA = 9;
const FLOAT_DATA = 4;
const DOUBLE_DATA = 10;
export const DATA_FIELDS = new Set([FLOAT_DATA, 5, 7, RAW_DATA, DOUBLE_DATA, 11]);

/** Bytes of an element; undefined where elements cannot be taken out one by one. */
export function elementBytes(dataType: number): number | undefined {
  return BYTES[dataType];
}

export function dimsOf(tensor: TensorProto): number[] {
  return tensor.dims.map(Number);
}

/** Packed fields of fixed width have the layout of raw_data; the others have to be read. */
export function rawOf(field: number, tensor: TensorProto, data: Source): Source {
  if (field === RAW_DATA || field === FLOAT_DATA || field === DOUBLE_DATA) return data;
  const bytes = joined(delimited(field, { parts: [data], length: data.length }));
  return typedData(fromBinary(TensorProtoSchema, bytes), tensor.dataType);
}

/** Of a tensor whose data are in the message itself. */
export function inlineData(tensor: TensorProto): Source {
  if (tensor.rawData.length > 0) return new MemorySource(new Uint8Array(tensor.rawData));
  return typedData(tensor, tensor.dataType);
}

function typedData(tensor: TensorProto, dataType: number): Source {
  const size = elementBytes(dataType) ?? 1;
  const { floatData, doubleData, int32Data, int64Data, uint64Data } = tensor;
  if (floatData.length > 0) return bytesOf(new Float32Array(floatData));
  if (doubleData.length > 0) return bytesOf(new Float64Array(doubleData));
  if (int64Data.length > 0) return bytesOf(new BigInt64Array(int64Data));
  if (uint64Data.length > 0) {
    const wide = new BigUint64Array(uint64Data);
    return size === 8 ? bytesOf(wide) : bytesOf(Uint32Array.from(uint64Data, Number));
  }
  if (size === 1) return bytesOf(Uint8Array.from(int32Data));
  return bytesOf(size === 2 ? Uint16Array.from(int32Data) : Int32Array.from(int32Data));
}

function bytesOf(array: ArrayBufferView<ArrayBuffer>): Source {
  return new MemorySource(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
}

/**
 * That the data are as long as the shape asks for.
 * @throws StruPruneError ERR_CHECKPOINT
 */
export function requireLength(tensor: TensorProto, data: Source): Source {
  const size = elementBytes(tensor.dataType);
  const wanted = dimsOf(tensor).reduce((product, dim) => product * dim, size ?? 0);
  if (size === undefined || wanted === data.length) return data;
  throw new StruPruneError(
    'ERR_CHECKPOINT',
    `tensor ${tensor.name} has ${data.length} bytes where its shape needs ${wanted}`,
    'export the model again',
  );
}
