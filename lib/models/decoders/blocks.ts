/** Finished blocks in a journal: their tensors one after the other, as the output will hold them. */
import { storageBytes } from '../../checkpoint/container';
import type { PlannedTensor } from '../../checkpoint/export';
import type { Block } from '../../engine/block';
import { blockSpec, type Session } from '../../engine/session';
import { SourceFile } from '../../engine/source-file';
import type { BlockRefs } from '../../model/architecture';
import { partRefs } from '../../model/file-tensors';
import { prunedBlock } from '../../model/groups';
import { scalingOf } from '../../model/stored-scaling';
import type { BlockRole } from '../../model/sublayers';
import type { Journal } from '../../pruning/journal/journal';
import type { PartContent, PartRecord } from '../front-end';
import { encodeBlockTensor } from './encode';

/** Planned tensors in order; those of a block with their place in the block's file. */
function placedInBlocks(
  tensors: readonly PlannedTensor[],
): { tensor: PlannedTensor; offset: number }[] {
  let block: number | null = null;
  let offset = 0;
  return tensors.map((tensor) => {
    if (tensor.block !== block) offset = 0;
    block = tensor.block;
    const placed = { tensor, offset };
    offset += storageBytes(tensor.dtype, tensor.shape);
    return placed;
  });
}

/** What the journal keeps of a solved block. @throws StruPruneError ERR_NAN as its chunks are read */
export function contentOf(
  session: Session,
  tensors: readonly PlannedTensor[],
  index: number,
  block: Block,
): PartContent {
  const own = tensors.filter((tensor) => tensor.block === index);
  const roles = own
    .flatMap(({ parts }) => parts.map(({ role }) => role as BlockRole))
    .filter((role) => block.shape(role) !== null);
  async function* chunks(): AsyncGenerator<Uint8Array, void> {
    for (const tensor of own) yield* encodeBlockTensor(session, tensor, block);
  }
  return { roles, chunks: chunks() };
}

/** A finished block, read back: the same numbers as the run had in memory when it was finished. */
export async function loadFinished(
  journal: Journal,
  session: Session,
  tensors: readonly PlannedTensor[],
  index: number,
  { keep, roles }: PartRecord,
): Promise<Block> {
  const refs: BlockRefs = {};
  for (const { tensor, offset } of placedInBlocks(tensors)) {
    if (tensor.block !== index) continue;
    const { name, dtype, shape, parts } = tensor;
    const whole = { name, dtype, shape, file: 0, offset, bytes: storageBytes(dtype, shape) };
    partRefs(whole, tensor).forEach((ref, part) => {
      const { ropeHeads } = parts[part]!;
      const role = parts[part]!.role as BlockRole;
      if (!roles.includes(role)) return;
      refs[role] = { ...ref, ropeHeads, ...scalingOf(role, session.stored) };
    });
  }
  const { engine, architecture, stored, scratch } = session;
  const spec = blockSpec(prunedBlock(architecture, index, keep), index);
  using file = new SourceFile(journal.blockPath(index));
  return await engine.store(scratch).loadBlock(spec, refs, [file], stored);
}
