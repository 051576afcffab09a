import type { Family } from '../family';
import { LLAMA_KEYS } from './llama-keys';
import { LLAMA_MAPS, LLAMA_NAMES } from './names';

const LAYER = 'model.layers.{}';

/** OLMo 2: norms behind the output maps alone, and one over all query heads and all key heads of a token. */
export const olmo2: Family = {
  name: 'olmo2',
  norm: 'rms',
  placement: 'behind',
  gated: true,
  qkNorm: 'heads',
  positionOffset: null,
  biases: { qkv: 'attention_bias', o: 'attention_bias', ffnIn: false, down: false },
  hf: {
    modelType: 'olmo2',
    stockClass: 'Olmo2ForCausalLM',
    // Not a field of the configuration, but transformers' attention and rope read it where it is set.
    keys: LLAMA_KEYS,
    defaults: {
      vocab_size: 50304,
      hidden_size: 4096,
      intermediate_size: 11008,
      num_hidden_layers: 32,
      num_attention_heads: 32,
      hidden_act: 'silu',
      max_position_embeddings: 2048,
      rms_norm_eps: 1e-5,
      tie_word_embeddings: false,
      attention_bias: false,
      eos_token_id: 50279,
    },
    only: {},
    freeHeadDim: true,
    headsDivideHidden: false,
    names: {
      model: LLAMA_NAMES.model,
      block: {
        ...LLAMA_MAPS,
        'attention.outNorm': `${LAYER}.post_attention_layernorm.weight`,
        'ffn.outNorm': `${LAYER}.post_feedforward_layernorm.weight`,
      },
    },
  },
  gguf: {
    architectures: ['olmo2'],
    interleavedRope: false,
    holdsBiases: [],
    freeHeads: false,
    holdsRopeFactors: false,
    activation: 'silu',
    needsHead: true,
  },
};
