import type { Family } from '../family';
import { LLAMA_KEYS } from './llama-keys';
import { LLAMA_NAMES } from './names';

/** Mistral 7B: Llama's block with a sliding window. In GGUF it is written, and read back, as `llama`. */
export const mistral: Family = {
  name: 'mistral',
  norm: 'rms',
  gated: true,
  qkNorm: null,
  positionOffset: null,
  biases: { qkv: false, o: false, ffnIn: false, down: false },
  hf: {
    modelType: 'mistral',
    stockClass: 'MistralForCausalLM',
    keys: { ...LLAMA_KEYS, slidingWindow: 'sliding_window' },
    defaults: {
      num_key_value_heads: 8,
      max_position_embeddings: 131072,
      hidden_act: 'silu',
      rms_norm_eps: 1e-6,
      tie_word_embeddings: false,
      sliding_window: 4096,
      bos_token_id: 1,
      eos_token_id: 2,
    },
    only: {},
    freeHeadDim: true,
    headsDivideHidden: false,
    names: LLAMA_NAMES,
  },
  gguf: {
    architectures: ['llama'],
    interleavedRope: true,
    holdsBiases: ['qkv', 'o', 'ffnIn', 'down'],
    freeHeads: true,
    holdsRopeFactors: true,
    holdsLongrope: true,
    activation: 'silu',
  },
};
