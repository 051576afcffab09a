/** Makers of GGUF files that lie, byte by byte: our own writer could not make them. */
import type { HostileFile } from './hostile-file';

const TYPE = { uint8: 0, uint32: 4, bool: 7, string: 8, array: 9, uint64: 10 };

const uint32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const uint64 = (value: number | bigint) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};
const string = (text: string) =>
  Buffer.concat([uint64(Buffer.byteLength(text)), Buffer.from(text)]);

const head = (tensors: number | bigint, entries: number | bigint, version = 3) =>
  Buffer.concat([Buffer.from('GGUF'), uint32(version), uint64(tensors), uint64(entries)]);

const entry = (key: string, type: number, ...value: Buffer[]) =>
  Buffer.concat([string(key), uint32(type), ...value]);

const arrayOf = (type: number, count: number | bigint, ...items: Buffer[]) =>
  Buffer.concat([uint32(type), uint64(count), ...items]);

/** @param fastestFirst as the file has it */
const tensor = (
  name: string,
  fastestFirst: (number | bigint)[],
  type: number,
  offset: number | bigint,
) =>
  Buffer.concat([
    string(name),
    uint32(fastestFirst.length),
    ...fastestFirst.map(uint64),
    uint32(type),
    uint64(offset),
  ]);

/** Header parts, padding, data. */
function file(dataBytes: number, ...parts: Buffer[]): Buffer {
  const header = Buffer.concat(parts);
  return Buffer.concat([
    header,
    Buffer.alloc((32 - (header.length % 32)) % 32),
    Buffer.alloc(dataBytes),
  ]);
}

/** A well-formed file, to see that the makers differ from it in one thing each. */
export const soundGguf: Buffer = file(
  64,
  head(2, 2),
  entry('general.architecture', TYPE.string, string('llama')),
  entry('tokens', TYPE.array, arrayOf(TYPE.string, 2, string('a'), string('b'))),
  tensor('x', [4, 2], 0, 0),
  tensor('y', [8], 0, 32),
);

function nested(depth: number): Buffer {
  const levels = Array.from({ length: depth - 1 }, () => arrayOf(TYPE.array, 1));
  return Buffer.concat([...levels, arrayOf(TYPE.uint8, 1, Buffer.from([1]))]);
}

/** Another well-formed file, with this type of the first tensor and this width of the second. */
const wide = (type: number, width: number) =>
  file(128, head(2, 0), tensor('x', [16], type, 0), tensor('y', [width], 0, 64));

const refused = (
  name: string,
  bytes: Buffer,
  message: RegExp,
  code: HostileFile['code'] = 'ERR_CHECKPOINT',
): HostileFile => ({ name, bytes, code, message });

const lying = 2n ** 62n;

export const hostileGguf: HostileFile[] = [
  refused('empty', Buffer.alloc(0), /the magic at byte 0 needs 4 bytes/),
  refused(
    'wrong-magic',
    Buffer.concat([Buffer.from('GGML'), soundGguf.subarray(4)]),
    /begin with GGUF/,
  ),
  refused('version-1', file(0, head(0, 0, 1)), /GGUF version 1/, 'ERR_UNSUPPORTED'),
  refused('big-endian', file(0, head(0, 0, 0x03000000)), /big-endian/, 'ERR_UNSUPPORTED'),
  refused('truncated-header', soundGguf.subarray(0, 60), /are left|do not fit/),
  refused('truncated-data', soundGguf.subarray(0, -1), /"y" .* ends after the file/),
  refused('lying-tensor-count', file(64, head(lying, 0)), /tensors, which do not fit/),
  refused('lying-entry-count', file(64, head(0, lying)), /entries, which do not fit/),
  refused('lying-key-length', file(64, head(0, 1), uint64(lying)), /a metadata key .* needs/),
  refused(
    'lying-string-length',
    file(64, head(0, 1), entry('a', TYPE.string, uint64(lying))),
    /a metadata string .* needs 4611686018427387904 bytes/,
  ),
  refused(
    'lying-array-length',
    file(64, head(0, 1), entry('a', TYPE.array, arrayOf(TYPE.uint64, lying))),
    /has an array of 4611686018427387904 values/,
  ),
  refused(
    'lying-string-array',
    file(64, head(0, 1), entry('a', TYPE.array, arrayOf(TYPE.string, lying))),
    /has an array of/,
  ),
  refused('nested', file(0, head(0, 1), entry('a', TYPE.array, nested(2))), /an array of arrays/),
  // Every level promises one more of itself, as a file with a cycle would; GGUF has no references.
  refused('endless', file(0, head(0, 1), entry('a', TYPE.array, nested(100_000))), /of arrays/),
  {
    ...refused(
      'hollow-array',
      file(0, head(0, 1), entry('a', TYPE.array, arrayOf(TYPE.uint8, 200_000_000))),
      /array values to more than/,
    ),
    length: 210_000_000,
  },
  refused(
    'duplicate-key',
    file(0, head(0, 2), entry('a', TYPE.bool, Buffer.of(1)), entry('a', TYPE.bool, Buffer.of(0))),
    /"a" is there twice/,
  ),
  refused(
    'third-bool',
    file(0, head(0, 1), entry('a', TYPE.bool, Buffer.of(2))),
    /neither 0 nor 1/,
  ),
  refused('unknown-value-type', file(64, head(0, 1), entry('a', 13)), /unknown value type 13/),
  refused(
    'alignment-zero',
    file(0, head(0, 1), entry('general.alignment', TYPE.uint32, uint32(0))),
    /general.alignment is 0/,
  ),
  refused(
    'five-dimensions',
    file(64, head(1, 0), tensor('x', [1, 1, 1, 1, 1], 0, 0)),
    /5 dimensions/,
  ),
  refused('overflow', file(64, head(1, 0), tensor('x', [2n ** 62n, 4], 0, 0)), /fit in 64 bits/),
  refused('far-offset', file(64, head(1, 0), tensor('x', [4], 0, 2n ** 64n - 32n)), /not at 0/),
  refused('misaligned', file(64, head(1, 0), tensor('x', [4], 0, 4)), /at offset 4, not at 0/),
  // By one bit: the file would be taken for one of other values.
  refused('another-type', wide(1, 16), /"y" lies at offset 64, not at 32/),
  refused('another-width', wide(0, 0), /64 bytes that belong to no tensor at its end/),
  refused('trailing', Buffer.concat([soundGguf, Buffer.alloc(1)]), /1 bytes that belong to no/),
  refused('long-name', file(32, head(1, 0), tensor('x'.repeat(64), [8], 0, 0)), /64 bytes, more/),
  refused('ragged-blocks', file(64, head(1, 0), tensor('x', [33], 2, 0)), /rows of 33 values/),
  refused(
    'unknown-tensor-type',
    file(64, head(1, 0), tensor('x', [4], 77, 0)),
    /unknown type 77/,
    'ERR_UNSUPPORTED',
  ),
  refused(
    'overlapping',
    file(128, head(2, 0), tensor('x', [16], 0, 0), tensor('y', [16], 0, 32)),
    /"y" lies at offset 32, not at 64/,
  ),
  refused(
    'duplicate-name',
    file(128, head(2, 0), tensor('x', [8], 0, 0), tensor('x', [8], 0, 32)),
    /"x" is there twice/,
  ),
];
