import type { Family } from '../family';
import { LLAMA_KEYS } from './llama-keys';
import { LLAMA_NAMES } from './names';

/** SmolLM3: Llama's block, without rope in every fourth. */
export const smollm3: Family = {
  name: 'smollm3',
  norm: 'rms',
  gated: true,
  qkNorm: null,
  positionOffset: null,
  mixesWindows: true,
  unturnedEvery: 4,
  biases: { qkv: 'attention_bias', o: 'attention_bias', ffnIn: 'mlp_bias', down: 'mlp_bias' },
  hf: {
    modelType: 'smollm3',
    stockClass: 'SmolLM3ForCausalLM',
    // head_dim is not a field of the configuration, but transformers' attention and rope read it where it is set.
    keys: { ...LLAMA_KEYS, slidingWindow: 'sliding_window', slides: 'use_sliding_window' },
    defaults: {
      vocab_size: 128256,
      hidden_size: 2048,
      intermediate_size: 11008,
      num_hidden_layers: 36,
      num_attention_heads: 16,
      num_key_value_heads: 4,
      hidden_act: 'silu',
      max_position_embeddings: 32768,
      rms_norm_eps: 1e-6,
      rope_theta: 2000000,
      use_sliding_window: false,
      attention_bias: false,
      mlp_bias: false,
      tie_word_embeddings: true,
      bos_token_id: 128000,
      eos_token_id: 128001,
    },
    only: {},
    freeHeadDim: true,
    headsDivideHidden: false,
    names: LLAMA_NAMES,
  },
  gguf: {
    architectures: ['smollm3'],
    interleavedRope: true,
    holdsBiases: [],
    freeHeads: true,
    holdsRopeFactors: false,
    activation: 'silu',
  },
};
