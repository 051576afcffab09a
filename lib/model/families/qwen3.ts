import type { Family } from '../family';
import { QWEN_KEYS } from './llama-keys';
import { GGUF_JOINED_QKV, LLAMA_NAMES } from './names';

/** Qwen3, dense: RMS norms on every query and key head, head_dim apart from the hidden size. OpenELM has the same block, of widths for each. */
export const qwen3: Family = {
  name: 'qwen3',
  norm: 'rms',
  gated: true,
  qkNorm: 'head',
  positionOffset: null,
  mixesWindows: true,
  biases: { qkv: 'attention_bias', o: 'attention_bias', ffnIn: false, down: false },
  hf: {
    modelType: 'qwen3',
    stockClass: 'Qwen3ForCausalLM',
    keys: QWEN_KEYS,
    defaults: {
      head_dim: 128,
      max_position_embeddings: 32768,
      hidden_act: 'silu',
      rms_norm_eps: 1e-6,
      tie_word_embeddings: false,
      attention_bias: false,
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
    architectures: ['qwen3', 'openelm'],
    unlike: { architecture: 'openelm', names: GGUF_JOINED_QKV },
    interleavedRope: false,
    holdsBiases: [],
    freeHeads: true,
    holdsRopeFactors: false,
    activation: 'silu',
  },
};
