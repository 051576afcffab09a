/** Floats of tensors, of 32 bits or of 16. */
import { FLOAT, FLOAT16 } from './tensor';

/** The types of floats that maps are refitted in, by TensorProto.DataType. */
export function isFloat(dataType: number | undefined): boolean {
  return dataType === FLOAT || dataType === FLOAT16;
}

/** Elements in the bytes of a tensor of that type. */
export function floatsIn(dataType: number, bytes: Uint8Array): Float32Array<ArrayBuffer> {
  const { buffer } = new Uint8Array(bytes);
  return dataType === FLOAT16 ? widened(new Uint16Array(buffer)) : new Float32Array(buffer);
}

/** The bytes of a tensor of that type, rounded to the nearest even. */
export function floatBytes(
  dataType: number,
  values: Float32Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  return new Uint8Array((dataType === FLOAT16 ? narrowed(values) : values).buffer);
}

let every: Float32Array | undefined;

/** IEEE 754 binary16 as floats. */
export function widened(halves: Uint16Array): Float32Array<ArrayBuffer> {
  every ??= Float32Array.from({ length: 1 << 16 }, (_, bits) => floatOf(bits));
  return Float32Array.from(halves, (bits) => every![bits]!);
}

function floatOf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** The nearest of 16 bits, of two as near the even one. */
export function narrowed(values: Float32Array<ArrayBuffer>): Uint16Array<ArrayBuffer> {
  return Uint16Array.from(new Uint32Array(values.buffer), (bits) => {
    const sign = (bits >>> 16) & 0x8000;
    const size = bits & 0x7fffffff;
    if (size > 0x7f800000) return sign | 0x7e00;
    // From half of the way between the largest one and 2^16 on.
    if (size >= 0x477ff000) return sign | 0x7c00;
    const exponent = (size >>> 23) - 112;
    if (exponent > 0) return sign | shifted(size - (112 << 23), 13);
    // Less than half of the smallest one is none of it.
    return exponent < -10 ? sign : sign | shifted((size & 0x7fffff) | 0x800000, 14 - exponent);
  });
}

function shifted(value: number, by: number): number {
  const [half, low] = [1 << (by - 1), value & ((1 << by) - 1)];
  const floor = value >>> by;
  return low > half || (low === half && floor & 1) ? floor + 1 : floor;
}
