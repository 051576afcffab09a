/** Memory of a run over a graph: what its largest site takes beside onnxruntime, whose peak the dense network has shown. */
import { native } from '../../../engine/native';
import { StruPruneError } from '../../../errors';
import { wholeMebibytes } from '../../../numbers';
import { columnsOf } from './readers';
import type { PrunedSite } from './sites';

/** Square matrices of doubles at once: the sums, the joined ones here and natively, the solver's own two. */
const SQUARES = 5;

/** And with feedback: sums of twice as many columns, and those of what has been lost. */
const FED_SQUARES = 9;

/** Bytes for each weight: as they are read and as floats, refitted, put back with their places, and doubles of the solver. */
const WEIGHT = 32;

/** What onnxruntime takes of the same graph differs by 8 % from run to run: what is advised has room for that. */
const SPREAD = 1.1;

/** `isFed`: with feedback. @throws StruPruneError ERR_BUDGET */
export function requireMemory(memory: number, sites: readonly PrunedSite[], isFed: boolean): void {
  const squares = isFed ? FED_SQUARES : SQUARES;
  const bytes = sites.map((site) => bytesOf(site, squares));
  requireRoom(memory, Math.max(0, ...bytes), 'largest site');
}

/** `bytes`: of something beside what the process has taken so far. @throws StruPruneError ERR_BUDGET */
export function requireRoom(memory: number, bytes: number, what: string): void {
  const needed = native.peakRss() + bytes;
  if (memory === 0 || needed <= memory) return;
  const [needs, has] = [wholeMebibytes(needed), wholeMebibytes(memory)];
  throw new StruPruneError(
    'ERR_BUDGET',
    `the graph and its ${what} need ${needs} MiB, the budget is ${has} MiB`,
    `raise --memory to ${wholeMebibytes(SPREAD * needed)}MiB`,
  );
}

function bytesOf({ readers }: PrunedSite, squares: number): number {
  const columns = readers.reduce((sum, reader) => sum + columnsOf(reader), 0);
  const out = readers.reduce((sum, reader) => sum + reader.out, 0);
  // With what they read beside the site: all sums at once, and the matrices of one solve.
  const wide = readers.map(
    (reader) => (columnsOf(reader) + reader.beside.length * reader.kernel) ** 2,
  );
  const beside = wide.reduce((sum, squares) => sum + squares, 0) - columns ** 2;
  const largest = readers.some((reader) => reader.beside.length > 0) ? Math.max(...wide) : 0;
  return (
    squares * 8 * columns ** 2 +
    WEIGHT * out * columns +
    8 * Math.max(0, beside) +
    (squares - 1) * 8 * largest
  );
}
