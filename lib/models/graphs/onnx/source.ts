/** Bytes that are read in pieces: a file, a part of one, an array, or what is computed when it is asked for. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';

import { StruPruneError } from '../../../errors';

export interface Source {
  readonly length: number;
  /** `length` bytes from `offset` on; both inside the source. */
  read(offset: number, length: number): Uint8Array<ArrayBuffer>;
}

export class FileSource implements Source {
  readonly length: number;
  private readonly descriptor: number;

  /** @throws StruPruneError ERR_NOT_FOUND, ERR_ARGUMENT */
  constructor(readonly path: string) {
    try {
      // A pipe is not waited for.
      this.descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    } catch (error) {
      throw new StruPruneError('ERR_NOT_FOUND', `${path} cannot be opened`, 'check the path', {
        cause: error,
      });
    }
    const status = fstatSync(this.descriptor);
    this.length = status.size;
    if (status.isFile()) return;
    this.close();
    throw new StruPruneError('ERR_ARGUMENT', `${path} is not a file`, 'give the file itself');
  }

  read(offset: number, length: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const got = readSync(this.descriptor, bytes, done, length - done, offset + done);
      if (got === 0) {
        throw new StruPruneError(
          'ERR_CHECKPOINT',
          `${this.path} became shorter`,
          'give a file that nothing writes to',
        );
      }
      done += got;
    }
    return bytes;
  }

  close(): void {
    closeSync(this.descriptor);
  }
}

/** A part of a file that is open while it is read: there may be more of them than descriptors. */
export class FilePart implements Source {
  constructor(
    private readonly path: string,
    private readonly offset: number,
    readonly length: number,
  ) {}

  read(offset: number, length: number): Uint8Array<ArrayBuffer> {
    const file = new FileSource(this.path);
    try {
      return file.read(this.offset + offset, length);
    } finally {
      file.close();
    }
  }
}

export class MemorySource implements Source {
  constructor(private readonly bytes: Uint8Array<ArrayBuffer>) {}

  get length(): number {
    return this.bytes.length;
  }

  read(offset: number, length: number): Uint8Array<ArrayBuffer> {
    return this.bytes.subarray(offset, offset + length);
  }
}

/** A part of another source. */
export class Range implements Source {
  constructor(
    private readonly source: Source,
    private readonly offset: number,
    readonly length: number,
  ) {}

  read(offset: number, length: number): Uint8Array<ArrayBuffer> {
    return this.source.read(this.offset + offset, length);
  }
}

const PIECE = 1 << 20;

/** All bytes of a source, at most 1 MiB at a time. */
export function* piecesOf(source: Source): Generator<Uint8Array<ArrayBuffer>> {
  for (let at = 0; at < source.length; at += PIECE) {
    yield source.read(at, Math.min(PIECE, source.length - at));
  }
}
