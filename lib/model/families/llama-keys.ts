import type { ConfigKeys } from '../family';

/** Keys of config.json that Llama and its descendants share. */
export const LLAMA_KEYS: ConfigKeys = {
  hidden: 'hidden_size',
  ffn: 'intermediate_size',
  blocks: 'num_hidden_layers',
  heads: 'num_attention_heads',
  kvHeads: 'num_key_value_heads',
  headDim: 'head_dim',
  vocab: 'vocab_size',
  maxPositions: 'max_position_embeddings',
  activation: 'hidden_act',
  normEps: 'rms_norm_eps',
};

/** Of experts, with weights that a key makes to sum to 1. */
export const EXPERT_KEYS = {
  experts: 'num_experts',
  topK: 'num_experts_per_tok',
  renormalises: 'norm_topk_prob',
} satisfies Partial<ConfigKeys>;

/** Qwen's, in which some blocks may have a dense FFN. */
export const QWEN_EXPERT_KEYS = {
  ...EXPERT_KEYS,
  expertWidth: 'moe_intermediate_size',
  expertsEvery: 'decoder_sparse_step',
  denseBlocks: 'mlp_only_layers',
} satisfies Partial<ConfigKeys>;

/** Qwen 2's and 3's: the blocks from one on may slide. */
export const QWEN_KEYS: ConfigKeys = {
  ...LLAMA_KEYS,
  slidingWindow: 'sliding_window',
  slides: 'use_sliding_window',
  globalBelow: 'max_window_layers',
};
