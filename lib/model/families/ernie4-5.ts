import type { Family } from '../family';
import { LLAMA_KEYS } from './llama-keys';
import { LLAMA_NAMES } from './names';

/** ERNIE 4.5, dense (0.3B): Llama's block whose rope turns neighbouring entries. */
export const ernie45: Family = {
  name: 'ernie4.5',
  norm: 'rms',
  gated: true,
  qkNorm: null,
  positionOffset: null,
  biases: { qkv: 'use_bias', o: 'use_bias', ffnIn: 'use_bias', down: 'use_bias' },
  hf: {
    modelType: 'ernie4_5',
    stockClass: 'Ernie4_5ForCausalLM',
    keys: LLAMA_KEYS,
    defaults: {
      vocab_size: 103424,
      hidden_size: 1024,
      intermediate_size: 3072,
      num_hidden_layers: 18,
      num_attention_heads: 16,
      num_key_value_heads: 2,
      head_dim: 128,
      hidden_act: 'silu',
      max_position_embeddings: 131072,
      rms_norm_eps: 1e-5,
      rope_theta: 5e5,
      tie_word_embeddings: true,
      use_bias: false,
      bos_token_id: 1,
      eos_token_id: 2,
    },
    only: {},
    freeHeadDim: true,
    headsDivideHidden: false,
    interleavedRope: true,
    names: LLAMA_NAMES,
  },
  gguf: {
    architectures: ['ernie4_5'],
    interleavedRope: true,
    holdsBiases: [],
    freeHeads: true,
    holdsRopeFactors: false,
    activation: 'silu',
  },
};
