import type { Family } from '../family';
import { mistral } from './mistral';

/** Ministral 3 (3B, 8B, 14B): Mistral's block with yarn, behind whose original positions queries grow. */
export const ministral3: Family = {
  ...mistral,
  name: 'ministral3',
  queriesGrow: true,
  hf: {
    ...mistral.hf,
    modelType: 'ministral3',
    stockClass: 'Ministral3ForCausalLM',
    defaults: {
      vocab_size: 131072,
      hidden_size: 4096,
      intermediate_size: 14336,
      num_hidden_layers: 34,
      num_attention_heads: 32,
      num_key_value_heads: 8,
      head_dim: 128,
      hidden_act: 'silu',
      max_position_embeddings: 262144,
      rms_norm_eps: 1e-5,
      tie_word_embeddings: false,
      sliding_window: null,
      bos_token_id: 1,
      eos_token_id: 2,
      rope_parameters: {
        rope_type: 'yarn',
        rope_theta: 1e6,
        factor: 16,
        original_max_position_embeddings: 16384,
        beta_fast: 32,
        beta_slow: 1,
        mscale: 1,
        mscale_all_dim: 1,
        llama_4_scaling_beta: 0.1,
      },
    },
  },
  gguf: {
    architectures: ['mistral3'],
    interleavedRope: true,
    holdsBiases: ['qkv', 'o', 'ffnIn', 'down'],
    freeHeads: true,
    holdsRopeFactors: true,
    activation: 'silu',
  },
};
