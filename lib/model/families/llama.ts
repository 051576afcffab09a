import type { Family } from '../family';
import { LLAMA_KEYS } from './llama-keys';
import { LLAMA_NAMES } from './names';

/** Llama 1 to 3 and SmolLM2. `deci` is llama.cpp's architecture for Llama blocks of unlike widths. */
export const llama: Family = {
  name: 'llama',
  norm: 'rms',
  gated: true,
  qkNorm: null,
  positionOffset: null,
  biases: { qkv: 'attention_bias', o: 'attention_bias', ffnIn: 'mlp_bias', down: 'mlp_bias' },
  hf: {
    modelType: 'llama',
    stockClass: 'LlamaForCausalLM',
    keys: LLAMA_KEYS,
    defaults: {
      max_position_embeddings: 2048,
      hidden_act: 'silu',
      rms_norm_eps: 1e-6,
      tie_word_embeddings: false,
      attention_bias: false,
      mlp_bias: false,
      bos_token_id: 1,
      eos_token_id: 2,
    },
    only: {},
    freeHeadDim: true,
    headsDivideHidden: true,
    names: LLAMA_NAMES,
  },
  gguf: {
    architectures: ['llama', 'deci'],
    interleavedRope: true,
    holdsBiases: ['qkv', 'o', 'ffnIn', 'down'],
    freeHeads: true,
    holdsRopeFactors: true,
    holdsLongrope: true,
    activation: 'silu',
  },
};
