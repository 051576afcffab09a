import type { Family } from '../family';
import { LLAMA_KEYS } from './llama-keys';
import { GEMMA_NAMES } from './names';

/**
 * Gemma 3, the text models: norms on both sides of attention and FFN, whose weights a folder stores less 1; every sixth block
 * sees all tokens, the others slide by a rope of their own.
 */
export const gemma3: Family = {
  name: 'gemma3',
  norm: 'rms',
  placement: 'sandwich',
  gated: true,
  qkNorm: 'head',
  positionOffset: null,
  scalesEmbedding: true,
  mixesWindows: true,
  globalEvery: 6,
  twoRopes: true,
  biases: { qkv: 'attention_bias', o: 'attention_bias', ffnIn: false, down: false },
  hf: {
    modelType: 'gemma3_text',
    stockClass: 'Gemma3ForCausalLM',
    base: 'Gemma3Text',
    keys: {
      ...LLAMA_KEYS,
      activation: 'hidden_activation',
      slidingWindow: 'sliding_window',
      queryScalar: 'query_pre_attn_scalar',
    },
    defaults: {
      vocab_size: 262208,
      hidden_size: 2304,
      intermediate_size: 9216,
      num_hidden_layers: 26,
      num_attention_heads: 8,
      num_key_value_heads: 4,
      head_dim: 256,
      hidden_activation: 'gelu_pytorch_tanh',
      max_position_embeddings: 131072,
      rms_norm_eps: 1e-6,
      tie_word_embeddings: true,
      attention_bias: false,
      query_pre_attn_scalar: 256,
      sliding_window: 4096,
      rope_theta: 1e6,
      rope_local_base_freq: 10000,
      eos_token_id: 1,
      bos_token_id: 2,
    },
    only: {
      final_logit_softcapping: [null, undefined],
      attn_logit_softcapping: [null, undefined],
      use_bidirectional_attention: [false, null, undefined],
    },
    freeHeadDim: true,
    headsDivideHidden: true,
    normOffset: 1,
    names: GEMMA_NAMES,
  },
  gguf: {
    architectures: ['gemma3'],
    interleavedRope: false,
    holdsBiases: [],
    freeHeads: true,
    holdsRopeFactors: false,
    activation: 'gelu_pytorch_tanh',
    slides: true,
    slidingTheta: 10000,
    scalesByHeadsAt: 62,
  },
};
