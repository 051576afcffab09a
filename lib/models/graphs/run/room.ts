/** Memory of a run over a graph: what its largest site takes beside onnxruntime, whose peak the dense network has shown. */
import { native } from '../../../engine/native';
import { StruPruneError } from '../../../errors';
import { wholeMebibytes } from '../../../numbers';
import { columnsOf } from './readers';
import type { PrunedSite } from './sites';

/** Square matrices of doubles at once: the sums, the joined ones here and natively, the solver's own two. */
const SQUARES = 5;

/** @throws StruPruneError ERR_BUDGET */
export function requireMemory(memory: number, sites: readonly PrunedSite[]): void {
  if (memory === 0) return;
  const needed = native.peakRss() + Math.max(0, ...sites.map(bytesOf));
  if (needed <= memory) return;
  const [needs, has] = [wholeMebibytes(needed), wholeMebibytes(memory)];
  throw new StruPruneError(
    'ERR_BUDGET',
    `the graph and its largest site need ${needs} MiB, the budget is ${has} MiB`,
    `raise --memory to ${needs}MiB`,
  );
}

function bytesOf({ readers }: PrunedSite): number {
  const columns = readers.reduce((sum, reader) => sum + columnsOf(reader), 0);
  const out = readers.reduce((sum, reader) => sum + reader.out, 0);
  return SQUARES * 8 * columns ** 2 + 16 * out * columns;
}
