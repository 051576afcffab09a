/** Makers of safetensors files that lie, byte by byte: our own writer could not make them. */
import type { HostileFile } from './hostile-file';

const F32 = (shape: number[], from: number, to: number, dtype = 'F32') => ({
  dtype,
  shape,
  data_offsets: [from, to],
});

/** @param header an object, or JSON text where an object cannot say it */
function file(header: unknown, dataBytes: number, headerLength?: bigint): Buffer {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(headerLength ?? BigInt(json.length));
  return Buffer.concat([length, json, Buffer.alloc(dataBytes)]);
}

/** A well-formed file, to see that the makers differ from it in one thing each. */
export const soundSafetensors: Buffer = file(
  { __metadata__: { format: 'pt' }, a: F32([2], 0, 8), b: F32([1, 2], 8, 16) },
  16,
);

const refused = (name: string, bytes: Buffer, message: RegExp, length?: number): HostileFile => ({
  name,
  bytes,
  length,
  code: 'ERR_CHECKPOINT',
  message,
});

const overflow = 2 ** 40;

export const hostileSafetensors: HostileFile[] = [
  refused('empty', Buffer.alloc(0), /has 0 bytes/),
  refused('truncated-data', soundSafetensors.subarray(0, -1), /ends at byte 16 of the data/),
  refused('truncated-header', soundSafetensors.subarray(0, 40), /says that its header has/),
  refused(
    'trailing',
    Buffer.concat([soundSafetensors, Buffer.alloc(3)]),
    /3 bytes that belong to no/,
  ),
  refused('huge-header', file({}, 0, 2n ** 63n), /says that its header has 9223372036854775808/),
  refused('long-header', file({}, 64, 99_000_000n), /but the file ends after 66/),
  // The length is true, and the header is a hole of 99 MB.
  refused('hollow-header', file('', 0, 99_000_000n), /not a JSON object/, 99_000_008),
  refused('not-json', file('{"a":', 0), /not a JSON object/),
  refused(
    'nested',
    file(`{"a":${'['.repeat(50_000)}${']'.repeat(50_000)}}`, 0),
    /not described by an object/,
  ),
  refused('overlapping', file({ a: F32([2], 0, 8), b: F32([2], 4, 12) }, 12), /overlap/),
  refused(
    'hole',
    file({ a: F32([2], 0, 8), b: F32([2], 12, 20) }, 20),
    /4 bytes that belong to no/,
  ),
  refused('negative-shape', file({ a: F32([-2], 0, 8) }, 8), /non-negative integer/),
  refused('negative-offset', file({ a: F32([2], -8, 0) }, 8), /non-negative integer/),
  refused('reversed-offsets', file({ a: F32([2], 8, 0) }, 8), /not a range/),
  refused('overflow', file({ a: F32([overflow, overflow], 0, 8) }, 8), /does not fit in 64 bits/),
  refused('wrong-size', file({ a: F32([3], 0, 8) }, 8), /8 bytes of data where .* need 12/),
  refused('unknown-dtype', file({ a: F32([2], 0, 8, 'F33') }, 8), /unknown dtype "F33"/),
  refused(
    'duplicate-name',
    file(
      '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
      8,
    ),
    /"a" is there twice/,
  ),
  refused('metadata-number', file({ __metadata__: { a: 1 } }, 0), /"a" is not a string/),
];
