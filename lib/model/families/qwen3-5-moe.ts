import type { Family } from '../family';
import { QWEN_EXPERT_KEYS } from './llama-keys';
import { EXPERT_MODEL_NAMES, SHARED_EXPERT_NAMES } from './names';
import { qwen35 } from './qwen3-5';

const { experts, topK, expertWidth } = QWEN_EXPERT_KEYS;

/** Qwen3.5's mixtures of experts (35B-A3B and larger): experts in every block, one of which all tokens pass. */
export const qwen35Moe: Family = {
  ...qwen35,
  name: 'qwen3.5-moe',
  renormalises: true,
  hf: {
    ...qwen35.hf,
    modelType: 'qwen3_5_moe_text',
    stockClass: 'Qwen3_5MoeForCausalLM',
    base: 'Qwen3_5MoeText',
    keys: {
      ...qwen35.hf.keys,
      ...{ experts, topK, expertWidth },
      sharedWidth: 'shared_expert_intermediate_size',
    },
    defaults: {
      ...qwen35.hf.defaults,
      hidden_size: 2048,
      num_hidden_layers: 40,
      num_key_value_heads: 2,
      num_experts: 256,
      num_experts_per_tok: 8,
      moe_intermediate_size: 512,
      shared_expert_intermediate_size: 512,
    },
    names: {
      ...EXPERT_MODEL_NAMES,
      block: {
        ...qwen35.hf.names.block,
        ...EXPERT_MODEL_NAMES.block,
        ...SHARED_EXPERT_NAMES,
      },
    },
  },
  gguf: {
    ...qwen35.gguf!,
    architectures: ['qwen35moe'],
    experts: { sums: true, ownWidth: true },
  },
};
