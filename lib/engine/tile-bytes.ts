/** Bytes of tiled matrices: the mirror of native/tiles/tile_axis.h and tile_matrix.cpp. */
import type { Ground } from './native-bytes';

export const FLOAT = 4;
export const DOUBLE = 8;

/** Of a canonical tile. */
export const TILE_SIDE = 256;
/** Tiles that a worker has in use at most: an element-wise step of ADMM. */
const TILES_OF_WORKER = 4;

/** How TileAxis cuts a side. */
export function tileAxis(size: number): { tiles: number; side: number } {
  if (size === 0) return { tiles: 0, side: 1 };
  const even = Math.ceil(size / Math.ceil(size / TILE_SIDE));
  const side = Math.min(size, TILE_SIDE, Math.ceil(even / 8) * 8);
  return { tiles: Math.ceil(size / side), side };
}

/** All tiles of a matrix; the last ones have the size of the others. */
export function full(rows: number, cols: number, element = DOUBLE): number {
  const [down, across] = [tileAxis(rows), tileAxis(cols)];
  return element * down.tiles * down.side * across.tiles * across.side;
}

/** Tiles on and below the diagonal of a square matrix. */
export function half(size: number): number {
  const { tiles, side } = tileAxis(size);
  return (DOUBLE * tiles * (tiles + 1) * side ** 2) / 2;
}

/** What of `bytes` of tiles must be in memory. */
export function tilesBytes({ threads, tiled }: Ground, bytes: number): number {
  return tiled ? Math.min(bytes, DOUBLE * TILES_OF_WORKER * threads * TILE_SIDE ** 2) : bytes;
}
