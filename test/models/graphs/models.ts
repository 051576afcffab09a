/** Small ONNX models, written by the library that also reads them in the product; onnx itself checks them in test/real. */
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import {
  AttributeProtoSchema,
  type ModelProtoSchema as Model,
  ModelProtoSchema,
  NodeProtoSchema,
  TensorProtoSchema,
  ValueInfoProtoSchema,
} from '../../../lib/models/graphs/onnx/onnx_pb';

const FLOAT = 1;

/** A float tensor of 0, 1, 2, … */
export function tensor(name: string, dims: number[]) {
  const elements = dims.reduce((product, dim) => product * dim, 1);
  const data = Float32Array.from({ length: elements }, (_, i) => i);
  return create(TensorProtoSchema, {
    name,
    dims: dims.map(BigInt),
    dataType: FLOAT,
    rawData: new Uint8Array(data.buffer),
  });
}

/** An int64 vector. */
export function sizes(name: string, values: number[]) {
  return create(TensorProtoSchema, {
    name,
    dims: [BigInt(values.length)],
    dataType: 7,
    int64Data: values.map(BigInt),
  });
}

export function value(name: string, dims: (number | string)[]) {
  const dim = dims.map((size) =>
    typeof size === 'number'
      ? { value: { case: 'dimValue' as const, value: BigInt(size) } }
      : { value: { case: 'dimParam' as const, value: size } },
  );
  const tensorType = { elemType: FLOAT, shape: { dim } };
  return create(ValueInfoProtoSchema, {
    name,
    type: { value: { case: 'tensorType', value: tensorType } },
  });
}

/** `Conv x w -> y` with attributes; numbers are ints, arrays lists of them. */
export function node(text: string, attributes: Record<string, number | number[] | string> = {}) {
  const [left, right] = text.split(' -> ');
  const [opType, ...input] = left!.split(' ');
  const attribute = Object.entries(attributes).map(([name, set]) =>
    create(AttributeProtoSchema, {
      name,
      ...(typeof set === 'number' ? { type: 2, i: BigInt(set) } : {}),
      ...(typeof set === 'string' ? { type: 3, s: new TextEncoder().encode(set) } : {}),
      ...(Array.isArray(set) ? { type: 7, ints: set.map(BigInt) } : {}),
    }),
  );
  return create(NodeProtoSchema, { opType, input, output: right!.split(' '), attribute });
}

export function model(
  graph: NonNullable<MessageInitShape<typeof Model>['graph']>,
  opset = 17,
): Uint8Array {
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 8n,
      opsetImport: [{ domain: '', version: BigInt(opset) }],
      graph: { name: 'test', ...graph } as never,
    }),
  );
}
