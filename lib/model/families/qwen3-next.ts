import type { Family } from '../family';
import { QWEN_EXPERT_KEYS } from './llama-keys';
import { QWEN35_GGUF, qwen35 } from './qwen3-5';
import { qwen35Moe } from './qwen3-5-moe';

const DELTA = 'model.layers.{}.linear_attn';
const QKVZ = `${DELTA}.in_proj_qkvz.weight`;
const BA = `${DELTA}.in_proj_ba.weight`;

/**
 * Qwen3-Next (80B-A3B): Qwen3.5's mixers, the maps of a delta rule joined key head by key head, and Qwen2-MoE's experts, one of which
 * all tokens pass.
 */
export const qwen3Next: Family = {
  ...qwen35,
  name: 'qwen3-next',
  hf: {
    ...qwen35.hf,
    modelType: 'qwen3_next',
    stockClass: 'Qwen3NextForCausalLM',
    base: 'Qwen3Next',
    keys: {
      ...qwen35.hf.keys,
      ...QWEN_EXPERT_KEYS,
      sharedWidth: 'shared_expert_intermediate_size',
    },
    defaults: {
      ...qwen35.hf.defaults,
      vocab_size: 151936,
      hidden_size: 2048,
      intermediate_size: 5632,
      num_hidden_layers: 48,
      num_key_value_heads: 2,
      num_experts: 512,
      num_experts_per_tok: 10,
      moe_intermediate_size: 512,
      shared_expert_intermediate_size: 512,
      norm_topk_prob: true,
    },
    names: {
      ...qwen35Moe.hf.names,
      block: {
        ...qwen35Moe.hf.names.block,
        'delta.q': QKVZ,
        'delta.k': QKVZ,
        'delta.v': QKVZ,
        'delta.outGate': QKVZ,
        'delta.beta': BA,
        'delta.alpha': BA,
      },
      alternating: 'heads',
    },
  },
  gguf: {
    ...QWEN35_GGUF,
    architectures: ['qwen3next'],
    experts: { sums: true, ownWidth: true },
    names: {
      block: {
        ...QWEN35_GGUF.names.block,
        'delta.beta': 'blk.{}.ssm_ba.weight',
        'delta.alpha': 'blk.{}.ssm_ba.weight',
      },
      alternating: 'heads',
      alternate: ['delta.beta'],
    },
  },
};
