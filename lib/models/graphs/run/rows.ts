/** What a reader reads, as rows of a matrix. */
import { StruPruneError } from '../../../errors';
import type { Reader, ReaderUse } from './readers';
import { columnsOf } from './readers';
import type { Activation } from './runtime';

/** Floats of the rows that are made at once. */
const PIECE = 1 << 22;

/**
 * Rows `[rows, columns]` of a reader's input, in pieces: of every sample and output position the patch under the kernel, zeros where
 * it is padded. Columns are the reader's positions, each with its kernel.
 */
export function* rowsOf(
  activation: Activation,
  reader: Reader,
  use: ReaderUse,
): Generator<Float32Array> {
  const { data, dims } = activation;
  if (!(data instanceof Float32Array)) {
    throw new StruPruneError(
      'ERR_UNSUPPORTED',
      `${use.activation} is ${activation.type}, and maps are refitted on 32-bit floats`,
    );
  }
  const [channels, space] = [dims[use.axis]!, sizeOf(dims.slice(use.axis + 1))];
  const outer = sizeOf(dims.slice(0, use.axis));
  const places = placesIn(dims.slice(use.axis + 1), use);
  const { kernel, positions } = reader;
  const inner = places.length / kernel;
  const columns = columnsOf(reader);
  const all = outer * inner;
  const step = Math.max(1, Math.floor(PIECE / columns));
  for (let first = 0; first < all; first += step) {
    const count = Math.min(step, all - first);
    const rows = new Float32Array(count * columns);
    let at = 0;
    for (let row = first; row < first + count; row++) {
      const sample = Math.floor(row / inner) * channels;
      const place = (row % inner) * kernel;
      for (const position of positions) {
        const start = (sample + use.channel + position) * space;
        for (let k = 0; k < kernel; k++) {
          const from = places[place + k]!;
          if (from >= 0) rows[at] = data[start + from]!;
          at++;
        }
      }
    }
    yield rows;
  }
}

/** `[output positions, kernel]`: where in space each element is read; -1: it is padded. */
function placesIn(dims: readonly number[], { windows }: ReaderUse): Int32Array {
  if (!windows) return Int32Array.from({ length: sizeOf(dims) }, (_, i) => i);
  let places = [0];
  let kernels = 1;
  dims.forEach((size, axis) => {
    const length = windows.kernel[axis]!;
    const starts = startsOf(size, axis, windows);
    const next: number[] = [];
    for (let outer = 0; outer < places.length; outer += kernels) {
      for (const start of starts) {
        for (let k = 0; k < kernels; k++) {
          for (let j = 0; j < length; j++) {
            const at = start + j * windows.dilations[axis]!;
            const inside = places[outer + k]! >= 0 && at >= 0 && at < size;
            next.push(inside ? places[outer + k]! * size + at : -1);
          }
        }
      }
    }
    places = next;
    kernels *= length;
  });
  return Int32Array.from(places);
}

/** Where the windows along an axis begin; below 0 in the padding. */
function startsOf(
  size: number,
  axis: number,
  windows: NonNullable<ReaderUse['windows']>,
): number[] {
  const { kernel, strides, dilations, pads, auto } = windows;
  const stride = strides[axis]!;
  const reach = (kernel[axis]! - 1) * dilations[axis]! + 1;
  let [before, after] = pads[axis]!;
  if (auto.startsWith('SAME')) {
    const padding = Math.max(0, (Math.ceil(size / stride) - 1) * stride + reach - size);
    before = auto === 'SAME_LOWER' ? Math.ceil(padding / 2) : Math.floor(padding / 2);
    after = padding - before;
  }
  const count = Math.floor((size + before + after - reach) / stride) + 1;
  return Array.from({ length: Math.max(0, count) }, (_, i) => i * stride - before);
}

function sizeOf(dims: readonly number[]): number {
  return dims.reduce((all, size) => all * size, 1);
}
