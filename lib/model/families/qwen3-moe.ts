import type { Family } from '../family';
import { LLAMA_KEYS, QWEN_EXPERT_KEYS } from './llama-keys';
import { EXPERT_MODEL_NAMES } from './names';

/** Qwen3 whose FFNs are experts, such as Qwen3-30B-A3B. */
export const qwen3Moe: Family = {
  name: 'qwen3-moe',
  norm: 'rms',
  gated: true,
  qkNorm: 'head',
  positionOffset: null,
  biases: { qkv: 'attention_bias', o: 'attention_bias', ffnIn: false, down: false },
  hf: {
    modelType: 'qwen3_moe',
    stockClass: 'Qwen3MoeForCausalLM',
    // head_dim is not a field of the configuration, but transformers' attention and rope read it where it is set.
    keys: {
      ...LLAMA_KEYS,
      ...QWEN_EXPERT_KEYS,
      slidingWindow: 'sliding_window',
      slides: 'use_sliding_window',
    },
    defaults: {
      vocab_size: 151936,
      hidden_size: 2048,
      intermediate_size: 6144,
      num_hidden_layers: 24,
      num_attention_heads: 32,
      num_key_value_heads: 4,
      num_experts: 128,
      num_experts_per_tok: 8,
      moe_intermediate_size: 768,
      norm_topk_prob: false,
      max_position_embeddings: 32768,
      hidden_act: 'silu',
      rms_norm_eps: 1e-6,
      tie_word_embeddings: false,
      attention_bias: false,
      use_sliding_window: false,
      sliding_window: 4096,
    },
    only: {},
    freeHeadDim: true,
    headsDivideHidden: false,
    names: EXPERT_MODEL_NAMES,
  },
  gguf: {
    architectures: ['qwen3moe'],
    interleavedRope: false,
    holdsBiases: [],
    freeHeads: true,
    holdsRopeFactors: false,
    activation: 'silu',
    experts: { sums: true, ownWidth: true },
  },
};
