import type { Family } from '../family';
import { LLAMA_KEYS } from './llama-keys';
import { LLAMA_NAMES } from './names';

/** Seed-OSS: Llama's block with biases of queries, keys and values. */
export const seedOss: Family = {
  name: 'seed-oss',
  norm: 'rms',
  gated: true,
  qkNorm: null,
  positionOffset: null,
  biases: { qkv: 'attention_bias', o: 'attention_out_bias', ffnIn: 'mlp_bias', down: 'mlp_bias' },
  hf: {
    modelType: 'seed_oss',
    stockClass: 'SeedOssForCausalLM',
    keys: LLAMA_KEYS,
    defaults: {
      vocab_size: 155136,
      hidden_size: 4096,
      intermediate_size: 27648,
      num_hidden_layers: 64,
      num_attention_heads: 80,
      num_key_value_heads: 8,
      head_dim: 128,
      hidden_act: 'silu',
      max_position_embeddings: 524288,
      rms_norm_eps: 1e-6,
      tie_word_embeddings: false,
      attention_bias: true,
      attention_out_bias: false,
      mlp_bias: false,
      bos_token_id: 0,
      eos_token_id: 2,
    },
    only: {},
    freeHeadDim: true,
    headsDivideHidden: false,
    names: LLAMA_NAMES,
  },
  gguf: {
    architectures: ['seed_oss'],
    interleavedRope: false,
    holdsBiases: ['qkv'],
    freeHeads: true,
    names: { block: { 'ffn.norm': 'blk.{}.post_attention_norm.weight' } },
    holdsRopeFactors: false,
    activation: 'silu',
  },
};
