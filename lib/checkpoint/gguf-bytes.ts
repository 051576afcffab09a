import { StruPruneError } from '../errors';
import type { EncodedValue, GgufValue } from './container';

/** Value types of GGUF metadata at their number in the file. */
const TYPES = [
  'uint8',
  'int8',
  'uint16',
  'int16',
  'uint32',
  'int32',
  'float32',
  'bool',
  'string',
  'array',
  'uint64',
  'int64',
  'float64',
] as const;
type ScalarType = Exclude<(typeof TYPES)[number], 'array'>;

const ARRAY = 'array:';

/** A growing little-endian buffer with GGUF's encodings. */
export class GgufBytes {
  private buffer = Buffer.alloc(1 << 16);
  private used = 0;

  get length(): number {
    return this.used;
  }

  bytes(): Buffer {
    return this.buffer.subarray(0, this.used);
  }

  uint32(value: number): void {
    this.scalar('uint32', value);
  }

  uint64(value: number): void {
    this.scalar('uint64', value);
  }

  string(value: string): void {
    this.scalar('string', value);
  }

  padTo(alignment: number): void {
    this.room(paddingOf(this.used, alignment)).fill(0);
  }

  /**
   * A metadata entry's type and value; `type` as `GgufEntry` has it.
   * @throws StruPruneError ERR_INTERNAL for a value that is not of the type
   */
  typed(type: string, value: GgufValue | EncodedValue): void {
    this.uint32(idOf(type));
    this.value(type, value);
  }

  /** A value without its type. */
  value(type: string, value: GgufValue | EncodedValue): void {
    if (value instanceof Uint8Array) {
      this.room(value.byteLength).set(value);
      return;
    }
    if (!type.startsWith(ARRAY)) {
      this.scalar(type as ScalarType, value);
      return;
    }
    const element = type.slice(ARRAY.length) as ScalarType;
    if (!Array.isArray(value)) throw wrong(type, value);
    this.uint32(idOf(element));
    this.uint64(value.length);
    for (const item of value) this.scalar(element, item);
  }

  private scalar(type: ScalarType, value: GgufValue): void {
    try {
      this.put(type, value);
    } catch (error) {
      if (error instanceof StruPruneError) throw error;
      throw wrong(type, value, error); // Buffer's own range errors
    }
  }

  private put(type: ScalarType, value: GgufValue): void {
    if (type === 'string') {
      if (typeof value !== 'string') throw wrong(type, value);
      this.uint64(Buffer.byteLength(value));
      this.room(Buffer.byteLength(value)).write(value);
      return;
    }
    if (type === 'bool') {
      if (typeof value !== 'boolean') throw wrong(type, value);
      this.room(1)[0] = value ? 1 : 0;
      return;
    }
    if (type === 'uint64' || type === 'int64') {
      const integer = BigInt(value as number | bigint);
      const view = this.room(8);
      if (type === 'uint64') view.writeBigUInt64LE(integer);
      else view.writeBigInt64LE(integer);
      return;
    }
    if (typeof value !== 'number') throw wrong(type, value);
    if (!type.startsWith('float') && !Number.isInteger(value)) throw wrong(type, value);
    this.number(type, value);
  }

  private number(type: Exclude<ScalarType, 'string' | 'bool' | 'uint64' | 'int64'>, value: number) {
    switch (type) {
      case 'uint8':
        return this.room(1).writeUInt8(value);
      case 'int8':
        return this.room(1).writeInt8(value);
      case 'uint16':
        return this.room(2).writeUInt16LE(value);
      case 'int16':
        return this.room(2).writeInt16LE(value);
      case 'uint32':
        return this.room(4).writeUInt32LE(value);
      case 'int32':
        return this.room(4).writeInt32LE(value);
      case 'float32':
        return this.room(4).writeFloatLE(value);
      case 'float64':
        return this.room(8).writeDoubleLE(value);
    }
  }

  /** The next `count` bytes, to be filled. */
  private room(count: number): Buffer {
    const end = this.used + count;
    if (end > this.buffer.length) {
      const larger = Buffer.alloc(Math.max(end, 2 * this.buffer.length));
      this.bytes().copy(larger);
      this.buffer = larger;
    }
    const view = this.buffer.subarray(this.used, end);
    this.used = end;
    return view;
  }
}

/** Bytes from `length` to the next multiple of `alignment`. */
export function paddingOf(length: number, alignment: number): number {
  return (alignment - (length % alignment)) % alignment;
}

function idOf(type: string): number {
  const id = TYPES.indexOf((type.startsWith(ARRAY) ? 'array' : type) as (typeof TYPES)[number]);
  if (id >= 0) return id;
  throw new StruPruneError('ERR_INTERNAL', `there is no GGUF metadata type ${type}`);
}

function wrong(type: string, value: GgufValue, cause?: unknown): StruPruneError {
  const shown = String(value).slice(0, 40);
  return new StruPruneError('ERR_INTERNAL', `GGUF metadata value ${shown} is not a ${type}`, '', {
    cause,
  });
}
