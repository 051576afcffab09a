/** Attributes of nodes of our own. */
import { create } from '@bufbuild/protobuf';
import { type AttributeProto, AttributeProtoSchema } from './onnx_pb';

/** AttributeProto.AttributeType. */
const INT = 2;
const INTS = 7;

/** Of a number an int, of several the list of them. */
export function attributesOf(values: Record<string, number | readonly number[]>): AttributeProto[] {
  return Object.entries(values).map(([name, value]) =>
    create(
      AttributeProtoSchema,
      typeof value === 'number'
        ? { name, type: INT, i: BigInt(value) }
        : { name, type: INTS, ints: value.map(BigInt) },
    ),
  );
}
