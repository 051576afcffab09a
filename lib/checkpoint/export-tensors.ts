import type { Architecture, Dtype, ModelRole, Stored } from '../model/architecture';
import { blockTensors, modelShapes } from '../model/axes';
import { ropeHeads } from '../model/bind';
import { blockTensorName, type TensorNames } from '../model/family';
import type { BlockRole } from '../model/sublayers';
import type { ExportRequest, PlannedTensor } from './export-plan';

interface TensorPlan {
  /** The output: pruned widths and the biases that its holder has. */
  output: Architecture;
  /** The model's own biases and those that pruning adds. */
  source: Architecture;
  added: Partial<Record<'o' | 'down', boolean>>;
  names: TensorNames;
  stored: Stored;
  takenOver?: ExportRequest['takenOver'];
  interleavedRope: boolean;
}

/** All tensors of the output in file order: embeddings, blocks, final norm, head. */
export function planTensors(plan: TensorPlan): PlannedTensor[] {
  const { output, names, stored, takenOver } = plan;
  const dtypeOf = (shape: number[], matrix: Dtype) => (shape.length > 1 ? matrix : stored.vectors);
  const dtypeOutside = (role: ModelRole) => {
    const { model } = takenOver?.source ?? {};
    return (model?.[role] ?? model?.embedding)?.dtype ?? stored.ends!;
  };
  const dtypeInside = (role: BlockRole, block: number) =>
    (stored.asSource.includes(role) && takenOver?.source.blocks[block]?.[role]?.dtype) ||
    stored.matrices;
  const outside = Object.entries(modelShapes(output)).map(([name, shape]): PlannedTensor => {
    const role = name as ModelRole;
    return {
      name: names.model[role]!,
      dtype: dtypeOf(shape, dtypeOutside(role)),
      shape,
      role,
      block: null,
      fill: 'source',
    };
  });
  const added = new Set<BlockRole>();
  if (plan.added.o) added.add('attention.outBias');
  if (plan.added.down) added.add('ffn.outBias');
  const inside = output.blocks.flatMap(({ heads, kvHeads }, block) => {
    const own = new Set(blockTensors(plan.source, block).map(({ role }) => role));
    return blockTensors(output, block).map(({ role, shape }): PlannedTensor => {
      const rotated = plan.interleavedRope ? ropeHeads(role, heads, kvHeads) : undefined;
      return {
        name: blockTensorName(names, role, block),
        dtype: dtypeOf(shape, dtypeInside(role, block)),
        shape,
        role,
        block,
        fill: own.has(role) ? 'source' : added.has(role) ? 'added' : 'zeros',
        ...(rotated === undefined ? {} : { ropeHeads: rotated }),
      };
    });
  });
  const isLast = ({ role }: PlannedTensor) => /^(finalNorm|projectOut|head)/.test(role);
  return [
    ...outside.filter((tensor) => !isLast(tensor)),
    ...inside,
    ...outside.filter((tensor) => isLast(tensor)),
  ];
}
