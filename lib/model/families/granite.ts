import type { Family } from '../family';
import { LLAMA_KEYS } from './llama-keys';
import { LLAMA_NAMES } from './names';

/** Granite 3, dense: Llama's block with multipliers of embeddings, scores, what blocks add, and logits. */
export const granite: Family = {
  name: 'granite',
  norm: 'rms',
  gated: true,
  qkNorm: null,
  positionOffset: null,
  biases: { qkv: 'attention_bias', o: 'attention_bias', ffnIn: 'mlp_bias', down: 'mlp_bias' },
  hf: {
    modelType: 'granite',
    stockClass: 'GraniteForCausalLM',
    // head_dim is not a field of the configuration, but transformers' attention and rope read it where it is set.
    keys: {
      ...LLAMA_KEYS,
      scoreScale: 'attention_multiplier',
      embeddingScale: 'embedding_multiplier',
      outputScale: 'residual_multiplier',
      logitDivisor: 'logits_scaling',
    },
    defaults: {
      vocab_size: 32000,
      hidden_size: 4096,
      intermediate_size: 11008,
      num_hidden_layers: 32,
      num_attention_heads: 32,
      hidden_act: 'silu',
      max_position_embeddings: 2048,
      rms_norm_eps: 1e-6,
      tie_word_embeddings: false,
      attention_bias: false,
      mlp_bias: false,
      embedding_multiplier: 1,
      logits_scaling: 1,
      residual_multiplier: 1,
      attention_multiplier: 1,
      bos_token_id: 1,
      eos_token_id: 2,
    },
    only: {},
    freeHeadDim: true,
    headsDivideHidden: false,
    names: LLAMA_NAMES,
  },
  gguf: {
    architectures: ['granite'],
    interleavedRope: true,
    holdsBiases: ['qkv', 'o', 'ffnIn', 'down'],
    freeHeads: true,
    holdsRopeFactors: true,
    activation: 'silu',
    multipliers: true,
  },
};
