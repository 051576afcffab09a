import type { Family } from '../family';
import { LLAMA_KEYS } from './llama-keys';
import { LLAMA_NAMES } from './names';

const LAYER = 'model.layers.{}';

/** StarCoder2: layer norms, rotary positions, biases everywhere, an FFN without a gate. */
export const starcoder2: Family = {
  name: 'starcoder2',
  norm: 'layer',
  gated: false,
  qkNorm: null,
  positionOffset: null,
  biases: { qkv: 'use_bias', o: 'use_bias', ffnIn: 'use_bias', down: 'use_bias' },
  hf: {
    modelType: 'starcoder2',
    stockClass: 'Starcoder2ForCausalLM',
    keys: { ...LLAMA_KEYS, normEps: 'norm_epsilon', slidingWindow: 'sliding_window' },
    defaults: {
      vocab_size: 49152,
      hidden_size: 3072,
      intermediate_size: 12288,
      num_hidden_layers: 30,
      num_attention_heads: 24,
      num_key_value_heads: 2,
      hidden_act: 'gelu_pytorch_tanh',
      max_position_embeddings: 4096,
      norm_epsilon: 1e-5,
      use_bias: true,
      tie_word_embeddings: true,
      bos_token_id: 50256,
      eos_token_id: 50256,
    },
    only: {},
    freeHeadDim: true,
    headsDivideHidden: false,
    names: {
      model: { ...LLAMA_NAMES.model, finalNormBias: 'model.norm.bias' },
      block: {
        ...LLAMA_NAMES.block,
        'attention.normBias': `${LAYER}.input_layernorm.bias`,
        'ffn.normBias': `${LAYER}.post_attention_layernorm.bias`,
        'ffn.up': `${LAYER}.mlp.c_fc.weight`,
        'ffn.upBias': `${LAYER}.mlp.c_fc.bias`,
        'ffn.out': `${LAYER}.mlp.c_proj.weight`,
        'ffn.outBias': `${LAYER}.mlp.c_proj.bias`,
      },
    },
  },
  gguf: {
    architectures: ['starcoder2'],
    interleavedRope: false,
    holdsBiases: ['qkv', 'o', 'ffnIn', 'down'],
    needsBiases: true,
    freeHeads: false,
    holdsRopeFactors: false,
    activation: 'gelu_pytorch_tanh',
  },
};
