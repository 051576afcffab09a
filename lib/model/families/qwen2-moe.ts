import type { Family } from '../family';
import { LLAMA_KEYS, QWEN_EXPERT_KEYS } from './llama-keys';
import { EXPERT_MODEL_NAMES, SHARED_EXPERT_NAMES } from './names';

/** Qwen1.5-MoE and Qwen2-57B-A14B: Qwen2 whose FFNs are experts, one of which all tokens pass. */
export const qwen2Moe: Family = {
  name: 'qwen2-moe',
  norm: 'rms',
  gated: true,
  qkNorm: null,
  positionOffset: null,
  mixesWindows: true,
  biases: { qkv: 'qkv_bias', o: false, ffnIn: false, down: false },
  hf: {
    modelType: 'qwen2_moe',
    stockClass: 'Qwen2MoeForCausalLM',
    // head_dim is not a field of the configuration, but transformers' attention and rope read it where it is set.
    keys: {
      ...LLAMA_KEYS,
      ...QWEN_EXPERT_KEYS,
      sharedWidth: 'shared_expert_intermediate_size',
      slidingWindow: 'sliding_window',
      slides: 'use_sliding_window',
      everySecondBelow: 'max_window_layers',
    },
    defaults: {
      vocab_size: 151936,
      hidden_size: 2048,
      intermediate_size: 5632,
      num_hidden_layers: 24,
      num_attention_heads: 16,
      num_key_value_heads: 16,
      num_experts: 60,
      num_experts_per_tok: 4,
      moe_intermediate_size: 1408,
      shared_expert_intermediate_size: 5632,
      norm_topk_prob: false,
      max_position_embeddings: 32768,
      hidden_act: 'silu',
      rms_norm_eps: 1e-6,
      tie_word_embeddings: false,
      qkv_bias: true,
      use_sliding_window: false,
      sliding_window: 4096,
      max_window_layers: 28,
    },
    only: {},
    freeHeadDim: true,
    headsDivideHidden: false,
    names: {
      ...EXPERT_MODEL_NAMES,
      block: { ...EXPERT_MODEL_NAMES.block, ...SHARED_EXPERT_NAMES },
    },
  },
  gguf: {
    architectures: ['qwen2moe'],
    interleavedRope: false,
    holdsBiases: ['qkv'],
    freeHeads: false,
    holdsRopeFactors: false,
    activation: 'silu',
    needsHead: true,
    experts: { sums: false, ownWidth: true },
  },
};
