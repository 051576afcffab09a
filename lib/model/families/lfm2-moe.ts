import type { Family } from '../family';
import { lfm2 } from './lfm2';
import { EXPERT_KEYS, LLAMA_KEYS } from './llama-keys';

const FFN = 'model.layers.{}.feed_forward';
const EXPERTS = {
  'experts.norm': lfm2.hf.names.block['ffn.norm']!,
  'experts.router': `${FFN}.gate.weight`,
  'experts.choiceBias': `${FFN}.expert_bias`,
};

/** LFM2's mixtures of experts (8B-A1B): its mixers; experts, but in the first blocks, by sigmoids and biases that only choose. */
export const lfm2Moe: Family = {
  ...lfm2,
  name: 'lfm2-moe',
  sigmoidRouter: true,
  hf: {
    ...lfm2.hf,
    modelType: 'lfm2_moe',
    stockClass: 'Lfm2MoeForCausalLM',
    keys: {
      ...LLAMA_KEYS,
      normEps: 'norm_eps',
      kernel: 'conv_L_cache',
      kernelBias: 'conv_bias',
      ...EXPERT_KEYS,
      expertWidth: 'moe_intermediate_size',
      denseBelow: 'num_dense_layers',
      choiceBias: 'use_expert_bias',
    },
    older: { tie_embedding: 'tie_word_embeddings' },
    defaults: {
      vocab_size: 65536,
      hidden_size: 2048,
      intermediate_size: 7168,
      moe_intermediate_size: 1792,
      num_hidden_layers: 32,
      num_attention_heads: 32,
      num_key_value_heads: 8,
      num_dense_layers: 2,
      num_experts: 32,
      num_experts_per_tok: 4,
      use_expert_bias: true,
      norm_topk_prob: true,
      routed_scaling_factor: 1,
      hidden_act: 'silu',
      max_position_embeddings: 128000,
      norm_eps: 1e-5,
      rope_theta: 1e6,
      conv_L_cache: 3,
      conv_bias: false,
      tie_word_embeddings: true,
      bos_token_id: 1,
      eos_token_id: 2,
    },
    only: { ...lfm2.hf.only, routed_scaling_factor: [1] },
    names: {
      model: lfm2.hf.names.model,
      block: {
        ...lfm2.hf.names.block,
        ...EXPERTS,
        'experts.{expert}.gate': `${FFN}.experts.{expert}.w1.weight`,
        'experts.{expert}.up': `${FFN}.experts.{expert}.w3.weight`,
        'experts.{expert}.out': `${FFN}.experts.{expert}.w2.weight`,
      },
      stacked: {
        ...EXPERTS,
        'experts.{expert}.gate': `${FFN}.experts.gate_up_proj`,
        'experts.{expert}.up': `${FFN}.experts.gate_up_proj`,
        'experts.{expert}.out': `${FFN}.experts.down_proj`,
      },
    },
  },
  gguf: {
    ...lfm2.gguf!,
    architectures: ['lfm2moe'],
    experts: { sums: true, ownWidth: true, denseBelow: true, bySigmoid: true },
  },
};
