import { open } from 'node:fs/promises';

const PIECE_BYTES = 2 ** 20;

export interface PiecesOptions {
  /** Bytes [start, end) of the file; all of it when left out. */
  start?: number;
  end?: number;
  signal?: AbortSignal;
}

/**
 * A file piece by piece. Every piece lies in the same memory and is gone when the next is asked for: a stream makes new
 * buffers, which stay until the garbage collector looks.
 */
export async function* pieces(
  path: string,
  { start = 0, end = Number.POSITIVE_INFINITY, signal }: PiecesOptions = {},
): AsyncGenerator<Uint8Array, void> {
  const file = await open(path, 'r');
  try {
    const piece = Buffer.allocUnsafeSlow(Math.min(PIECE_BYTES, Math.max(0, end - start)));
    for (let at = start; at < end; ) {
      signal?.throwIfAborted();
      const { bytesRead } = await file.read(piece, 0, Math.min(piece.length, end - at), at);
      if (bytesRead === 0) return;
      yield piece.subarray(0, bytesRead);
      at += bytesRead;
    }
  } finally {
    await file.close();
  }
}
