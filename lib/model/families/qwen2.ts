import type { Family } from '../family';
import { QWEN_KEYS } from './llama-keys';
import { LLAMA_NAMES } from './names';

/** Qwen2 and Qwen2.5, dense: Llama's block with biases on q, k and v. */
export const qwen2: Family = {
  name: 'qwen2',
  norm: 'rms',
  gated: true,
  qkNorm: null,
  positionOffset: null,
  mixesWindows: true,
  biases: { qkv: true, o: false, ffnIn: false, down: false },
  hf: {
    modelType: 'qwen2',
    stockClass: 'Qwen2ForCausalLM',
    // Not a field of the configuration, but transformers' attention and rope read it where it is set.
    keys: QWEN_KEYS,
    defaults: {
      max_position_embeddings: 32768,
      hidden_act: 'silu',
      rms_norm_eps: 1e-6,
      tie_word_embeddings: false,
      use_sliding_window: false,
      sliding_window: 4096,
      max_window_layers: 28,
    },
    only: {},
    freeHeadDim: true,
    headsDivideHidden: false,
    names: LLAMA_NAMES,
  },
  gguf: {
    architectures: ['qwen2'],
    interleavedRope: false,
    holdsBiases: ['qkv'],
    freeHeads: false,
    holdsRopeFactors: false,
    activation: 'silu',
  },
};
