import { StruPruneError } from '../errors';
import type { Architecture, Dtype, ModelRole, Stored } from '../model/architecture';
import { blockTensors, modelShapes, type ShapedTensor } from '../model/axes';
import { MXFP4_BLOCK, ropeHeads } from '../model/bind';
import { headOrderOf } from '../model/delta-order';
import type { TensorNames } from '../model/family';
import { fileTensors, WHOLE } from '../model/file-tensors';
import { type BlockRole, routes } from '../model/sublayers';
import { blockElements } from './container';
import type { ExportRequest, PlannedPart, PlannedTensor } from './export-plan';

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
  const dtypeOf = (role: string, shape: number[], matrix: Dtype) =>
    shape.length > 1 && !routes(role) ? matrix : stored.vectors;
  const dtypeOutside = (role: ModelRole) => {
    const { model } = takenOver?.source ?? {};
    return stored.ends ?? (model![role] ?? model!.embedding!).dtype;
  };
  const dtypeInside = (role: BlockRole, block: number) =>
    (stored.asSource.includes(role) && takenOver?.source.blocks[block]?.[role]?.dtype) ||
    (takenOver?.packs ? 'F4_E2M1' : stored.matrices);
  const outside = Object.entries(modelShapes(output)).map(([name, shape]): PlannedTensor => {
    const role = name as ModelRole;
    return {
      name: names.model[role]!,
      dtype: dtypeOf(role, shape, dtypeOutside(role)),
      shape,
      ...WHOLE,
      block: null,
      parts: [{ role, shape, fill: 'source' }],
    };
  });
  const added = new Set<BlockRole>();
  if (plan.added.o) added.add('attention.outBias');
  if (plan.added.down) added.add('ffn.outBias');
  let written = 0;
  const inside = output.blocks.flatMap(({ heads: queryHeads, kvHeads }, block) => {
    if (blockTensors(output, block).length === 0) return [];
    const place = written++;
    const own = new Set(blockTensors(plan.source, block).map(({ role }) => role));
    const part = ({ role, shape }: ShapedTensor): PlannedPart => {
      const heads = headOrderOf(role, plan.source, output);
      if (heads?.axis === 'columns') requireWholeHeads(role, heads.each, stored.matrices);
      const rotated = plan.interleavedRope ? ropeHeads(role, queryHeads, kvHeads) : undefined;
      return {
        role,
        shape,
        fill: own.has(role) ? 'source' : added.has(role) ? 'added' : 'zeros',
        ...(rotated === undefined ? {} : { ropeHeads: rotated }),
        ...(heads && { heads }),
      };
    };
    return fileTensors(output, names, block, place).flatMap(
      ({ parts, ...tensor }): PlannedTensor[] =>
        withScales({
          ...tensor,
          dtype: dtypeOf(parts[0]!.role, parts[0]!.shape, dtypeInside(parts[0]!.role, block)),
          block,
          parts: parts.map(part),
        }),
    );
  });
  const isLast = ({ parts }: PlannedTensor) => /^(finalNorm|projectOut|head)/.test(parts[0]!.role);
  return [
    ...outside.filter((tensor) => !isLast(tensor)),
    ...inside,
    ...outside.filter((tensor) => isLast(tensor)),
  ];
}

/** MXFP4 is two tensors: values, and what each row of them has for every so many. */
function withScales(tensor: PlannedTensor): PlannedTensor[] {
  if (tensor.dtype !== 'F4_E2M1') return [tensor];
  const { name, shape, parts } = tensor;
  const each = (lengths: readonly number[]) => [
    ...lengths.slice(0, -1),
    lengths.at(-1)! / MXFP4_BLOCK,
  ];
  const scales: PlannedTensor = {
    ...tensor,
    name: `${name}_scales`,
    dtype: 'F8_E8M0',
    shape: each(shape),
    parts: parts.map((part) => ({ ...part, shape: each(part.shape) })),
  };
  return [{ ...tensor, name: `${name}_blocks` }, scales];
}

/** Blocks of a quantised type must not reach over two heads that trade places. */
function requireWholeHeads(role: BlockRole, width: number, dtype: Dtype): void {
  if (width % blockElements(dtype) === 0) return;
  throw new StruPruneError(
    'ERR_UNSUPPORTED',
    `heads of ${role} have ${width} columns, and ${dtype} stores them by ${blockElements(dtype)}`,
    'choose --dtype f16',
  );
}
