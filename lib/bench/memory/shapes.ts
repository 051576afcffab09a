/** Shapes of published models, as their config.json have them, for checkpoints of random weights. */
export interface Shape {
  name: string;
  /** Of its rows. */
  label: string;
  config: Record<string, unknown>;
}

interface OptShape {
  hidden: number;
  blocks: number;
  heads: number;
  /** Narrower embedding of the 350M model, whose norms stand behind. */
  embeddingWidth?: number;
}

/** arXiv 2205.01068, table 1. */
const OPT: Record<string, OptShape> = {
  '125m': { hidden: 768, blocks: 12, heads: 12 },
  '350m': { hidden: 1024, blocks: 24, heads: 16, embeddingWidth: 512 },
  '1.3b': { hidden: 2048, blocks: 24, heads: 32 },
  '2.7b': { hidden: 2560, blocks: 32, heads: 32 },
  '6.7b': { hidden: 4096, blocks: 32, heads: 32 },
};

/** So many of a mixture's blocks: one more takes a run as long again, and no more memory. */
const BLOCKS_OF_EXPERTS = 2;

/** arXiv 2401.04088 and 2505.09388. */
const EXPERTS: Record<string, Record<string, unknown>> = {
  'mixtral-8x7b': { architectures: ['MixtralForCausalLM'], model_type: 'mixtral' },
  'qwen3-30b-a3b': qwen3Experts(128),
  'qwen3-30b-a3b-32e': qwen3Experts(32),
};

export const SHAPES: readonly Shape[] = [
  ...Object.entries(OPT).map(([name, shape]) => ({
    name,
    label: `opt-${name}`,
    config: optConfig(shape),
  })),
  ...Object.entries(EXPERTS).map(([name, config]) => ({
    name,
    label: `${name}, ${BLOCKS_OF_EXPERTS} blocks`,
    config: { ...config, num_hidden_layers: BLOCKS_OF_EXPERTS, torch_dtype: 'float16' },
  })),
];

export function optConfig({ hidden, blocks, heads, embeddingWidth }: OptShape) {
  return {
    architectures: ['OPTForCausalLM'],
    model_type: 'opt',
    hidden_size: hidden,
    word_embed_proj_dim: embeddingWidth ?? hidden,
    ffn_dim: 4 * hidden,
    num_hidden_layers: blocks,
    num_attention_heads: heads,
    vocab_size: 50272,
    max_position_embeddings: 2048,
    do_layer_norm_before: embeddingWidth === undefined,
    activation_function: 'relu',
    tie_word_embeddings: true,
    enable_bias: true,
    torch_dtype: 'float16',
  };
}

/** What the configuration leaves out is the class's default, and Qwen3-30B-A3B's. */
function qwen3Experts(experts: number): Record<string, unknown> {
  return {
    architectures: ['Qwen3MoeForCausalLM'],
    model_type: 'qwen3_moe',
    head_dim: 128,
    num_experts: experts,
    norm_topk_prob: true,
    rope_theta: 1e6,
  };
}
