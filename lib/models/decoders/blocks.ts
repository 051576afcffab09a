/** Finished blocks in a journal: their tensors one after the other, as the output will hold them. */
import { storageBytes } from '../../checkpoint/container';
import type { PlannedTensor } from '../../checkpoint/export';
import type { Block } from '../../engine/block';
import { blockSpec, type Session } from '../../engine/session';
import { SourceFile } from '../../engine/source-file';
import type { BlockRefs } from '../../model/architecture';
import { MXFP4_BLOCK } from '../../model/bind';
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
    .filter((role, i, all) => block.shape(role) !== null && all.indexOf(role) === i);
  async function* chunks(): AsyncGenerator<Uint8Array, void> {
    for (const tensor of own) yield* encodeBlockTensor(session, tensor, block);
  }
  return { roles, chunks: chunks() };
}

/** A finished block, read back: the same numbers as the run had in memory when it was finished. */
export async function loadFinished(
  journal: Pick<Journal, 'blockPath'>,
  session: Session,
  tensors: readonly PlannedTensor[],
  index: number,
  { keep, roles }: PartRecord,
): Promise<Block> {
  const refs: BlockRefs = {};
  const placed = placedInBlocks(tensors).filter(({ tensor }) => tensor.block === index);
  const place = ({ tensor: { name, dtype, shape }, offset }: (typeof placed)[number]) => ({
    ...{ name, dtype, shape, file: 0, offset, bytes: storageBytes(dtype, shape) },
  });
  for (const each of placed) {
    const { tensor } = each;
    const { name, dtype, parts } = tensor;
    if (dtype === 'F8_E8M0') continue;
    const beside = name.replace(/_blocks$/, '_scales');
    const scales = placed.find(({ tensor }) => dtype === 'F4_E2M1' && tensor.name === beside);
    const whole = {
      ...place(each),
      ...(scales && {
        scales: { ...place(scales), blockRows: 1, blockColumns: MXFP4_BLOCK, row: 0 },
      }),
    };
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
