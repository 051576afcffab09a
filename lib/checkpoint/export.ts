import { StruPruneError } from '../errors';
import type { Dtype } from '../model/architecture';
import { blockElements, fitsBlocks, isQuantised } from './container';
import { planGguf } from './export-gguf';
import { planHuggingFace } from './export-hf';
import type { ExportDtype, ExportPlan, ExportRequest } from './export-plan';
import { type Holder, holderOf, type Refusal, traitsOf } from './export-table';
import { ggufBytes } from './gguf-writer';
import type { ExportFormat } from './output-path';
import { safetensorsBytes } from './safetensors-writer';

export type {
  ExportDtype,
  ExportPlan,
  ExportRequest,
  PlannedPart,
  PlannedTensor,
} from './export-plan';
export { scalesIn, storedAs } from './export-plan';
export { type ExportKind, exportTable } from './export-table';
export type { CopiedTensor } from './export-wrapped';
export type { ExportFormat } from './output-path';

/**
 * Multiples that widths must have in the output: FFN channels, and columns of o (kept heads × head_dim).
 * 8 FFN channels keep rows aligned for the kernels of every loader; quantised types store rows in blocks of 32.
 */
export function roundingFor(matrices: Dtype): { ffn: number; attention: number } {
  const block = blockElements(matrices);
  return block > 1 ? { ffn: block, attention: block } : { ffn: 8, attention: 1 };
}

/**
 * Everything about the output but its weights: which program loads it, names, shapes, dtypes and order of
 * its tensors, configuration or metadata, and the files beside them. Reads no weights, so that a run
 * that cannot be written is refused before it starts.
 * @throws StruPruneError ERR_UNSUPPORTED when nothing holds the combination
 */
export function planExport(request: ExportRequest): ExportPlan {
  const { format, dtype } = request;
  requireDtype(format, dtype);
  const holder = holderFor(request);
  if (holder.kind === null) throw new StruPruneError('ERR_UNSUPPORTED', holder.why, holder.mend);
  const plan = format === 'hf' ? planHuggingFace(request, holder) : planGguf(request, holder);
  if (isQuantised(dtype)) requireWholeBlocks(plan);
  return plan;
}

/** Which program holds the pruned model. */
export function holderFor({
  pruned,
  addedBias = {},
  format,
  wrapped,
}: ExportRequest): Holder | Refusal {
  return holderOf(traitsOf(pruned, addedBias, wrapped?.wrapper), format);
}

/** Bytes of the files that hold the weights, a GGUF file's tokenizer not counted. */
export function weightFileBytes(plan: ExportPlan, maxShardBytes?: number): number {
  return plan.format === 'hf'
    ? safetensorsBytes(plan.tensors, maxShardBytes, plan.copied)
    : ggufBytes(plan.tensors, plan.metadata!);
}

/** @throws StruPruneError ERR_UNSUPPORTED */
export function requireDtype(format: ExportFormat, dtype: ExportDtype): void {
  if (format === 'hf' && isQuantised(dtype)) {
    throw new StruPruneError(
      'ERR_UNSUPPORTED',
      `a Hugging Face folder holds no ${dtype} weights`,
      'choose --dtype f32, f16 or bf16, or --format gguf',
    );
  }
}

function requireWholeBlocks(plan: ExportPlan): void {
  for (const { name, dtype, shape } of plan.tensors) {
    if (fitsBlocks(dtype, shape)) continue;
    throw new StruPruneError(
      'ERR_UNSUPPORTED',
      `${name} has rows of ${shape.at(-1)} entries, and ${dtype} stores them by ${blockElements(dtype)}`,
      `choose --dtype f16, or widths that are multiples of ${blockElements(dtype)}`,
    );
  }
}
