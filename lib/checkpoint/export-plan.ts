import {
  type Architecture,
  type Dtype,
  FEW_STEPS,
  type ModelRole,
  type ModelSource,
  type Stored,
} from '../model/architecture';
import type { HeadOrder } from '../model/delta-order';
import { familyNamed } from '../model/families';
import type { BiasName } from '../model/family';
import type { Arrangement } from '../model/file-tensors';
import { type Scales, scalesOf } from '../model/stored-scaling';
import type { BlockRole } from '../model/sublayers';
import type { GgufEntry } from './container';
import type { ExportKind } from './export-table';
import type { CopiedTensor } from './export-wrapped';
import type { ExportFormat } from './output-path';

/** What a tensor of the output is filled with. */
export type Fill =
  /** The model's own tensor, sliced and perhaps refitted. */
  | 'source'
  /** A bias that pruning made; the model had none. */
  | 'added'
  /** Only there because the loading class wants it. */
  | 'zeros'
  /** The values in the plan. */
  | 'values';

export interface PlannedTensor extends Arrangement {
  /** Name in the output file. */
  name: string;
  dtype: Dtype;
  /** Row-major, slowest first, as stored. */
  shape: number[];
  /** Of the source, of which the output may lack some; null outside the blocks. */
  block: number | null;
  /** What it is made of, one after the other along their first axis; more than one in blocks alone. */
  parts: PlannedPart[];
}

export interface PlannedPart {
  role: BlockRole | ModelRole | 'ropeFactors';
  /** `[out, in]` or `[n]`. */
  shape: number[];
  fill: Fill;
  values?: Float32Array;
  /** Rows are to be written interleaved (GGUF's llama order): this many heads. */
  ropeHeads?: number;
  /** Heads of a delta rule are to be written in this order. */
  heads?: HeadOrder;
}

export interface ExportRequest {
  /** The model before pruning. */
  architecture: Architecture;
  /** The same with its new widths (prunedArchitecture). */
  pruned: Architecture;
  format: ExportFormat;
  dtype: ExportDtype;
  /** Biases that the method adds where the model has none. */
  addedBias?: Partial<Record<'o' | 'down', boolean>>;
  /** config.json of a Hugging Face source: keys without meaning here are carried over. */
  sourceConfig?: Record<string, unknown>;
  /** generation_config.json of a Hugging Face source. */
  sourceGeneration?: Record<string, unknown>;
  /** Keys of it that have floats. */
  sourceFloats?: readonly string[];
  /** Of a source of text and images. */
  wrapped?: ModelSource['wrapped'];
  /** Matrices that keep the types that this source has them in: these roles and, in gguf, those outside of the blocks. */
  takenOver?: {
    source: Pick<ModelSource, 'model' | 'blocks' | 'config'>;
    roles: readonly BlockRole[];
    /** In a folder: all other matrices of blocks are experts' in MXFP4, and are rounded to it again. */
    packs?: true;
  };
}

export type ExportDtype = Extract<
  Dtype,
  'F32' | 'F16' | 'BF16' | 'Q8_0' | 'Q5_1' | 'Q5_0' | 'Q4_1' | 'Q4_0'
>;

/**
 * What an output of this dtype holds. llama.cpp keeps vectors in F32: its additions and norms take nothing else. Embeddings
 * and head lose most by few bits, and have 8 at least where they are not taken over.
 */
export function storedAs({
  architecture,
  format,
  dtype,
  takenOver,
}: Pick<ExportRequest, 'architecture' | 'format' | 'dtype' | 'takenOver'>): Stored {
  return {
    matrices: takenOver?.packs ? 'MXFP4' : dtype,
    ends: takenOver && format === 'gguf' ? null : FEW_STEPS.includes(dtype) ? 'Q8_0' : dtype,
    vectors: format === 'gguf' ? 'F32' : dtype,
    asSource: takenOver?.roles ?? [],
    ...scalesIn(architecture, format),
  };
}

/** What weights are stored less, or divided by, in such an output. */
export function scalesIn(architecture: Architecture, format: ExportFormat): Scales {
  const { hf } = familyNamed(architecture.family);
  const normOffset = format === 'hf' ? (hf.normOffset ?? 0) : 0;
  return { normOffset, decayAsRate: format === 'gguf', ...scalesOf(architecture) };
}

export interface ExportPlan {
  kind: ExportKind;
  format: ExportFormat;
  /** What the output is, as openCheckpoint will read it again, biases included. */
  biases: Record<BiasName, boolean>;
  tensors: PlannedTensor[];
  /** What goes as the source has it, in front of the others. */
  copied: CopiedTensor[];
  /** hf: config.json. */
  config: Record<string, unknown> | null;
  /** Keys of it that have floats. */
  floats: readonly string[];
  /** gguf: metadata in file order, all but the tokenizer's entries. */
  metadata: Record<string, GgufEntry> | null;
  /** Text files to write beside the weights. */
  files: { name: string; text: string }[];
  /** What the user should know about the output. */
  notes: string[];
  /** References to code in the source's configuration that were left out. */
  dropped: string[];
}
