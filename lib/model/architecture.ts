import type { Activation, BlockRole, ClampedGate, DeltaSpec, Rope } from './sublayers';
import type { Layout, Wrapper } from './wrappers';

/**
 * A decoder-only transformer as data. Nothing outside lib/model/families knows a family's name: the
 * native block, the coupled groups and the exporters read only what stands here.
 *
 * Block (pre-norm):   h += o(attention(norm1(h)));  h += down(ffn(norm2(h)))
 * Block (post-norm):  h  = norm1(h + o(attention(h)));  h = norm2(h + down(ffn(h)))   (OPT-350m)
 * Block (sandwich):   h += norm1'(o(attention(norm1(h))));  h += norm2'(down(ffn(norm2(h))))   (Gemma)
 * Block (behind):     h += norm1'(o(attention(h)));  h += norm2'(down(ffn(h)))   (OLMo 2)
 * Block (parallel):   h += o(attention(norm1(h))) + down(ffn(norm2(h)))   (GPT-NeoX)
 */

/** A convolution of the last tokens (LFM2), or a gated delta rule (Qwen3.5). */
export type OtherMixer = 'convolution' | 'delta';

/** One block: widths, which differ between blocks after pruning, and how its attention sees. Where one is 0 there is no such sublayer. */
export interface BlockWidths {
  /** FFN channels (rows of gate and up, columns of down), of each expert where there are such. */
  ffn: number;
  /** The FFN is so many experts (Mixtral). */
  experts?: number;
  heads: number;
  kvHeads: number;
  /** Attention looks back on all tokens where that of other blocks slides (Gemma 3). */
  global?: true;
  /** Rope turns nothing here (SmolLM3). */
  unturned?: true;
  /** In the place of attention: it stays as it is. */
  mixer?: OtherMixer;
}

export interface Architecture {
  /** Name of the family that made this. */
  family: string;
  hidden: number;
  vocab: number;
  headDim: number;
  /** One entry a block. */
  blocks: BlockWidths[];
  maxPositions: number;
  norm: { kind: 'rms' | 'layer'; eps: number; placement: 'pre' | 'post' | 'sandwich' | 'behind' };
  /** Attention and FFN read the block's input side by side. */
  parallel: boolean;
  /** Norm after the last block; absent in post-norm models. */
  finalNorm: boolean;
  /** null: learned absolute positions (OPT). */
  rope: Rope | null;
  /** Of global blocks, where that is another one (Gemma 3). */
  globalRope: Rope | null;
  /** Rows of the position table to skip (OPT: 2); null without a table. */
  positionOffset: number | null;
  /** Tokens that a query of a block that is not global may look back on, itself included; 0 = all. */
  slidingWindow: number;
  /** RMS norm of queries and keys before rope: over each head (Qwen3), or over all heads of a token at once (OLMo 2). */
  qkNorm: 'head' | 'heads' | null;
  /** Attention scores are divided by its root; null: headDim. */
  queryScalar: number | null;
  /** Attention scores s, so divided, become scoreCap · tanh(s ÷ scoreCap) (Gemma 2); null: they stay. */
  scoreCap: number | null;
  /** What a query head gives is times the sigmoid of gates, rows of its map behind the head's own. */
  gatedAttention: boolean;
  /** A learned logit of each query head joins the sum of its softmax (gpt-oss). */
  sinks: boolean;
  activation: Activation;
  /** down(act(gate x) * up x) when true, down(act(up x)) when false (OPT: fc1 is `up`, fc2 is `down`). */
  gated: boolean;
  biases: { qkv: boolean; o: boolean; ffnIn: boolean; down: boolean };
  /** In place of the activation of experts (gpt-oss). */
  clampedGate: ClampedGate | null;
  /** Of blocks with experts: how many a token passes; whether their probabilities are made to sum to 1, and are sigmoids; `choiceBias`: each expert has one that only chooses; `bias`: the router has one; `sharedWidth`: of one more that all tokens pass, 0: there is none. */
  routing: {
    topK: number;
    renormalised: boolean;
    sigmoid: boolean;
    choiceBias: boolean;
    bias: boolean;
    sharedWidth: number;
    sharedGated: boolean;
  } | null;
  /** Of blocks that convolve: tokens that a channel looks back on, itself included, and whether all maps have biases; null: none does. */
  convolution: { kernel: number; bias: boolean } | null;
  /** Of blocks with a delta rule: heads, their widths, and tokens that the convolution in front looks back on; null: there are none. */
  delta: Omit<DeltaSpec, 'kind' | 'eps'> | null;
  /** Of the embedding's rows as they come into the first block, not of a tied head: √hidden in Gemma, Granite's own, else 1. */
  embeddingScale: number;
  /** Of what attention and FFN add to the stream (Granite). Loaded output maps and their biases have it in them. */
  outputScale: number;
  /** Of logits (Granite). The loaded weight of the final norm has it in it. */
  logitScale: number;
  /** The same of logits. */
  logitCap: number | null;
  /** Output matrix = embedding matrix. */
  tiedEmbeddings: boolean;
  /** Width of the embedding table where it differs from `hidden` (OPT-350m's project_in/out), else null. */
  embeddingProjection: number | null;
  bosTokenId: number | null;
  eosTokenId: number | null;
}

/** Roles of the tensors outside the blocks. `head` is absent when tied; projections only for OPT-350m. */
export const MODEL_ROLES = [
  'embedding',
  'positions',
  'projectIn',
  'projectOut',
  'finalNorm',
  'finalNormBias',
  'head',
] as const;
export type ModelRole = (typeof MODEL_ROLES)[number];

export type Dtype =
  | 'F32'
  | 'F16'
  | 'BF16'
  | 'Q4_0'
  | 'Q4_1'
  | 'Q5_0'
  | 'Q5_1'
  | 'Q8_0'
  | 'Q4_K'
  | 'Q5_K'
  | 'Q6_K'
  | 'F8_E4M3'
  | 'F4_E2M1'
  | 'F8_E8M0'
  | 'MXFP4';

/** Block types of less than 8 bits that can be written: 32 steps or fewer. */
export const FEW_STEPS: readonly Dtype[] = ['Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'MXFP4'];

/** What the tensors of a file are stored as. */
export interface Stored {
  /** Of the blocks, but for those that are `asSource`. */
  matrices: Dtype;
  /** Outside of them: embeddings, projections, head; null: as the source has them. */
  ends: Dtype | null;
  vectors: Dtype;
  /** Matrices of the blocks that keep the source's own types: of these, rows stay as they are or go. */
  asSource: readonly BlockRole[];
  /** Weights of norms are stored less this: 1 in Hugging Face's folders of Gemma, else 0. */
  normOffset: number;
  /** Output maps and their biases are stored divided by this, and the final norm's weight by `finalNormScale`: 1 but in Granite. */
  outputScale: number;
  finalNormScale: number;
  /** Decays of delta rules are stored as the rates that they are logarithms of, less than 0: in GGUF. */
  decayAsRate: boolean;
}

/** Factors of a matrix, one for each block of so many rows and columns, as a matrix that lies elsewhere. */
export interface BlockScales extends Pick<TensorRef, 'file' | 'offset' | 'bytes' | 'dtype'> {
  blockRows: number;
  blockColumns: number;
  /** The matrix' first row among those that have them. */
  row: number;
}

/** Where a tensor lies: enough for the native side to map and dequantise any row range of it. */
export interface TensorRef {
  /** Name in the file, for messages. */
  name: string;
  /** Index into `ModelSource.files`. */
  file: number;
  /** Byte offset from the start of the file. */
  offset: number;
  bytes: number;
  dtype: Dtype;
  /** Row-major, slowest first: `[out, in]` or `[n]`. */
  shape: number[];
  /**
   * GGUF's llama-style files interleave the two rope halves of every head of q and k. When set, the rows
   * are to be put back into Hugging Face's order: this many heads of shape[0] / ropeHeads rows each.
   */
  ropeHeads?: number;
  /**
   * The matrix is stored transposed, in rows of so many entries: those of its first column start at `offset`, of the next one
   * a stored row further.
   */
  storedColumns?: number;
  /** Of every `step` stored rows, or entries of a vector, the first `run` are its own: those between are other tensors'. */
  step?: number;
  /** 1 where left out. */
  run?: number;
  /** The stored values are times these (FP8). */
  scales?: BlockScales;
  /** Values are `times` the stored ones, 1 where left out, `plus` this, 0 where left out. */
  times?: number;
  plus?: number;
  /** Or −e to their power is stored. */
  asRate?: true;
}

/** A tensor as its container states it; the dtype may be one that this program cannot read. */
export type StoredTensor = Omit<TensorRef, 'dtype'> & { dtype: string };

/** What is around the text model in a model of text and images. */
export interface Wrapped {
  wrapper: Wrapper;
  layout: Layout;
  /** The text model's keys stand beside the others in the configuration. */
  flat: boolean;
  /** Tensors that are not the text model's. */
  others: StoredTensor[];
}

/** Where the tensors of a block lie, by their names in it. */
export type BlockRefs = Record<BlockRole, TensorRef>;

/** An opened checkpoint: its architecture and where every tensor lies. No weights are read to make it. */
export interface ModelSource {
  format: 'hf' | 'gguf';
  /** As the user gave it. */
  path: string;
  /** Absolute paths of the files with tensors. */
  files: string[];
  architecture: Architecture;
  model: Partial<Record<ModelRole, TensorRef>>;
  blocks: BlockRefs[];
  /** Sum over all stored tensors, tied ones once. */
  parameters: number;
  /** Whatever the exporters need back: config.json as parsed, or the GGUF metadata as GgufEntry by key. */
  config: Record<string, unknown>;
  /** Keys of config.json that have a whole number with a point there, and keep it. */
  floats?: string[];
  /** Tensors of the files that guess tokens further ahead, which no output has. */
  unloaded?: string[];
  /** Of a model of text and images: what is around the text model, of which all else here speaks but `parameters`. */
  wrapped?: Wrapped;
}
