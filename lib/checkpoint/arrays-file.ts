/**
 * Named arrays of numbers in one safetensors file, with text beside them. The last tensor, `sha256`, is the hash of
 * every byte before it, so that a damaged file is noticed before its numbers are used.
 */
import { createHash } from 'node:crypto';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { StruPruneError } from '../errors';
import { AtomicFile, type AtomicOptions, orAbort } from './atomic';
import { type ContainerTensor, parseSafetensors } from './container';
import { pieces } from './pieces';

export type ArrayType = 'F64' | 'F32';

export interface ArrayPlan {
  name: string;
  dtype: ArrayType;
  shape: number[];
  /** The numbers, in pieces, each gone when the next is asked for: little-endian, row-major. */
  pieces: () => Iterable<Float64Array | Float32Array>;
}

const HASH = 'sha256';
const HASH_BYTES = 32;
const SIZES: Record<ArrayType, number> = { F64: 8, F32: 4 };

/** @throws StruPruneError ERR_OUTPUT */
export async function writeArrays(
  path: string,
  arrays: readonly ArrayPlan[],
  metadata: Record<string, string>,
  options: AtomicOptions,
): Promise<void> {
  const file = await AtomicFile.create(path, options);
  await orAbort(file, async () => {
    const hash = createHash('sha256');
    const write = (bytes: Uint8Array) => {
      hash.update(bytes);
      return file.write(bytes);
    };
    await write(headerOf(arrays, metadata));
    for (const { pieces } of arrays) {
      for (const piece of pieces()) {
        await write(new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength));
      }
    }
    await file.write(hash.digest());
    await file.commit();
  });
}

function headerOf(arrays: readonly ArrayPlan[], metadata: Record<string, string>): Buffer {
  let end = 0;
  const place = (bytes: number) => {
    const start = end;
    end += bytes;
    return [start, end];
  };
  const entries: [string, object][] = arrays.map(({ name, dtype, shape }) => {
    const count = shape.reduce((product, width) => product * width, 1);
    return [name, { dtype, shape, data_offsets: place(count * SIZES[dtype]) }];
  });
  entries.push([HASH, { dtype: 'U8', shape: [HASH_BYTES], data_offsets: place(HASH_BYTES) }]);
  const json = JSON.stringify({ __metadata__: metadata, ...Object.fromEntries(entries) });
  const text = Buffer.from(json);
  const header = Buffer.alloc(8 + Math.ceil(text.length / 8) * 8, ' ');
  header.writeBigUInt64LE(BigInt(header.length - 8));
  text.copy(header, 8);
  return header;
}

/** An opened file of arrays whose hash was right. */
export class ArraysFile {
  private constructor(
    readonly path: string,
    readonly metadata: Record<string, string>,
    private readonly tensors: ReadonlyMap<string, ContainerTensor>,
  ) {}

  /** @throws StruPruneError ERR_NOT_FOUND; ERR_CHECKPOINT for another kind of file or a wrong hash */
  static async open(path: string, signal?: AbortSignal): Promise<ArraysFile> {
    const file = ArraysFile.openKnown(path);
    const stored = file.tensors.get(HASH);
    const { size } = await stat(path);
    const ok =
      stored?.bytes === HASH_BYTES &&
      stored.offset + HASH_BYTES === size &&
      (await hashBefore(path, stored.offset, signal)).equals(await tail(path, stored.offset));
    if (ok) return file;
    if (!stored) {
      throw new StruPruneError(
        'ERR_CHECKPOINT',
        `${path} is not a file of this program, which would have a hash of its contents`,
        'give one that it has written',
      );
    }
    throw new StruPruneError(
      'ERR_CHECKPOINT',
      `${path} is damaged: its hash is not that of its contents`,
      'make it again',
    );
  }

  /** One that this process wrote, or has opened before: without a look at its hash. @throws StruPruneError ERR_CHECKPOINT */
  static openKnown(path: string): ArraysFile {
    const { tensors, metadata } = parseSafetensors(path);
    return new ArraysFile(path, metadata, new Map(tensors.map((tensor) => [tensor.name, tensor])));
  }

  has(name: string): boolean {
    return this.tensors.has(name);
  }

  shape(name: string): number[] {
    return this.tensor(name).shape;
  }

  /** All numbers of a small array. @throws StruPruneError ERR_CHECKPOINT when there are fewer than `least` */
  async read(name: string, least = 0): Promise<Float64Array> {
    const { offset, bytes, dtype } = this.tensor(name);
    if (dtype !== 'F64' || bytes < least * SIZES.F64) throw this.unlike(name);
    const values = new Float64Array(bytes / SIZES.F64);
    await this.fill(offset, values);
    return values;
  }

  /** All numbers of an array, into memory of its size. @throws StruPruneError ERR_CHECKPOINT */
  async readInto(name: string, values: Float64Array | Float32Array): Promise<void> {
    const { offset, bytes } = this.tensor(name);
    if (bytes !== values.byteLength) throw this.unlike(name);
    await this.fill(offset, values);
  }

  /** Rows of a matrix, so many at a time, each time in the same memory. */
  async *rows(
    name: string,
    atOnce: number,
  ): AsyncGenerator<{ row: number; values: Float64Array | Float32Array }> {
    const { offset, dtype, shape } = this.tensor(name);
    const [rows = 0, cols = 1] = shape;
    const size = SIZES[dtype as ArrayType];
    if (size === undefined) throw this.unlike(name);
    const most = Math.min(atOnce, rows) * cols;
    const memory = dtype === 'F64' ? new Float64Array(most) : new Float32Array(most);
    for (let row = 0; row < rows; row += atOnce) {
      const values = memory.subarray(0, Math.min(atOnce, rows - row) * cols);
      await this.fill(offset + row * cols * size, values);
      yield { row, values };
    }
  }

  private async fill(offset: number, values: Float64Array | Float32Array): Promise<void> {
    const file = await open(this.path, 'r');
    try {
      const { buffer, byteOffset, byteLength } = values;
      await readAt(file, new Uint8Array(buffer, byteOffset, byteLength), offset);
    } finally {
      await file.close();
    }
  }

  private tensor(name: string): ContainerTensor {
    const tensor = this.tensors.get(name);
    if (tensor) return tensor;
    throw new StruPruneError('ERR_CHECKPOINT', `${this.path} has no ${name}`, 'make it again');
  }

  private unlike(name: string): StruPruneError {
    const found = `${name} of ${this.path} has another type, or too few numbers`;
    return new StruPruneError('ERR_CHECKPOINT', found, 'make it again');
  }
}

async function hashBefore(path: string, end: number, signal?: AbortSignal): Promise<Buffer> {
  const hash = createHash('sha256');
  for await (const piece of pieces(path, { end, signal })) hash.update(piece);
  return hash.digest();
}

async function tail(path: string, offset: number): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    const bytes = Buffer.alloc(HASH_BYTES);
    await readAt(file, bytes, offset);
    return bytes;
  } finally {
    await file.close();
  }
}

async function readAt(file: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  let done = 0;
  while (done < bytes.byteLength) {
    const { bytesRead } = await file.read(bytes, done, bytes.byteLength - done, offset + done);
    if (bytesRead === 0)
      throw new StruPruneError('ERR_CHECKPOINT', 'a file ended while it was read');
    done += bytesRead;
  }
}
