/** What a reader reads, as rows of a matrix. */
import { StruPruneError } from '../../../errors';
import { elements } from '../../../model/axes';
import { inOrder, type ReaderUse } from './patches';
import type { Reader } from './readers';
import { columnsOf } from './readers';
import { type Activation, floatsOf } from './runtime';

/** Floats of the rows that are made at once. */
const PIECE = 1 << 22;

/**
 * Rows `[rows, columns]` of a reader's input, in pieces: of every sample and output position the patch under the kernel, zeros where
 * it is padded. Columns are the reader's positions, each with its kernel.
 */
export function* rowsOf(
  activation: Activation,
  reader: Pick<Reader, 'kernel' | 'positions'>,
  use: ReaderUse,
): Generator<Float32Array> {
  const { dims } = activation;
  const data = floatsOf(activation);
  if (!data) {
    throw new StruPruneError(
      'ERR_UNSUPPORTED',
      `${use.activation} is ${activation.type}, and maps are refitted on floats of 32 or 16 bits`,
    );
  }
  const [channels, space] = [dims[use.axis]!, elements(dims.slice(use.axis + 1))];
  const outer = (use.outer ?? inOrder)(dims.slice(0, use.axis));
  const places = use.places(dims.slice(use.axis + 1));
  const { kernel, positions } = reader;
  const inner = places.length / kernel;
  const columns = columnsOf(reader);
  const all = outer.length * inner;
  const step = Math.max(1, Math.floor(PIECE / columns));
  for (let first = 0; first < all; first += step) {
    const count = Math.min(step, all - first);
    const rows = new Float32Array(count * columns);
    let at = 0;
    for (let row = first; row < first + count; row++) {
      const sample = outer[Math.floor(row / inner)]! * channels;
      const place = (row % inner) * kernel;
      if (sample < 0) {
        at += columns;
        continue;
      }
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
