/** The dense and the pruned model, and both as llama.cpp reads them. */
import { join } from 'node:path';
import { openGguf } from '../../checkpoint/gguf-model';
import type { Engine } from '../../engine/engine';
import { StruPruneError } from '../../errors';
import { exportOn } from '../../export-model';
import type { ModelSource } from '../../model/architecture';
import { DTYPES } from '../../options/output';

export type Pair = readonly [dense: ModelSource, pruned: ModelSource];

/** @throws StruPruneError ERR_ARGUMENT where one cannot have been made of the other */
export function requireRelated([dense, pruned]: Pair): void {
  const shapes = [dense, pruned].map(({ architecture: { family, hidden, vocab } }) =>
    [family, `width ${hidden}`, `${vocab} tokens`].join(', '),
  );
  if (shapes[0] === shapes[1]) return;
  throw new StruPruneError(
    'ERR_ARGUMENT',
    `the second model was not made of the first: ${shapes.join(' against ')}`,
    'name the dense model, then the one that was made of it',
  );
}

/**
 * Both as GGUF files of the same types: other types would be measured as if pruning had made the difference. The dense one
 * is written into `scratch` where it is not so already; null where that cannot be, since the pruned one has several types.
 */
export async function ggufPair(
  engine: Engine,
  [dense, pruned]: Pair,
  scratch: string,
): Promise<Pair | null> {
  const types = typesOf(pruned);
  if (dense.format === 'gguf' && typesOf(dense).join() === types.join()) return [dense, pruned];
  const dtype = DTYPES.find((name) => types.join() === name.toUpperCase());
  if (!dtype) return null;
  const output = join(scratch, 'dense.gguf');
  const rest = { format: 'gguf', dtype, force: false, maxShardBytes: undefined } as const;
  await exportOn(engine, dense, { output, ...rest });
  return [await openGguf(output), pruned];
}

/** Of the blocks' maps, each once. */
function typesOf({ blocks }: ModelSource): string[] {
  const maps = blocks
    .flatMap((block) => Object.values(block))
    .filter(({ shape }) => shape.length > 1);
  return [...new Set(maps.map(({ dtype }) => dtype))].sort();
}
