import type { Family } from '../family';
import { LLAMA_KEYS } from './llama-keys';
import { GEMMA_NAMES } from './names';

/**
 * Gemma 2: soft caps on attention scores and logits; norms on both sides of attention and FFN, whose weights a folder stores
 * less 1; every second block sees all tokens, the others slide.
 */
export const gemma2: Family = {
  name: 'gemma2',
  norm: 'rms',
  placement: 'sandwich',
  gated: true,
  qkNorm: null,
  positionOffset: null,
  scalesEmbedding: true,
  mixesWindows: true,
  globalEvery: 2,
  biases: { qkv: 'attention_bias', o: 'attention_bias', ffnIn: false, down: false },
  hf: {
    modelType: 'gemma2',
    stockClass: 'Gemma2ForCausalLM',
    keys: {
      ...LLAMA_KEYS,
      activation: 'hidden_activation',
      slidingWindow: 'sliding_window',
      queryScalar: 'query_pre_attn_scalar',
      scoreCap: 'attn_logit_softcapping',
      logitCap: 'final_logit_softcapping',
    },
    defaults: {
      vocab_size: 256000,
      hidden_size: 2304,
      intermediate_size: 9216,
      num_hidden_layers: 26,
      num_attention_heads: 8,
      num_key_value_heads: 4,
      head_dim: 256,
      hidden_activation: 'gelu_pytorch_tanh',
      max_position_embeddings: 8192,
      rms_norm_eps: 1e-6,
      tie_word_embeddings: true,
      attention_bias: false,
      query_pre_attn_scalar: 256,
      sliding_window: 4096,
      attn_logit_softcapping: 50,
      final_logit_softcapping: 30,
      eos_token_id: 1,
      bos_token_id: 2,
    },
    only: { use_bidirectional_attention: [false, null, undefined] },
    freeHeadDim: true,
    headsDivideHidden: true,
    normOffset: 1,
    names: GEMMA_NAMES,
  },
  gguf: {
    architectures: ['gemma2'],
    interleavedRope: false,
    holdsBiases: [],
    freeHeads: true,
    holdsRopeFactors: false,
    activation: 'gelu_pytorch_tanh',
    slides: true,
    caps: { scores: 50, logits: 30 },
    scalesByHeadsAt: 46,
  },
};
