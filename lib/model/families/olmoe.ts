import type { Family } from '../family';
import { EXPERT_KEYS, LLAMA_KEYS } from './llama-keys';
import { EXPERT_MODEL_NAMES } from './names';

/** OLMoE: Llama's block whose FFN is experts, with one norm over all query heads and all key heads of a token. */
export const olmoe: Family = {
  name: 'olmoe',
  norm: 'rms',
  gated: true,
  qkNorm: 'heads',
  positionOffset: null,
  biases: { qkv: 'attention_bias', o: 'attention_bias', ffnIn: false, down: false },
  hf: {
    modelType: 'olmoe',
    stockClass: 'OlmoeForCausalLM',
    // head_dim is not a field of the configuration, but transformers' attention and rope read it where it is set.
    keys: { ...LLAMA_KEYS, ...EXPERT_KEYS },
    defaults: {
      vocab_size: 50304,
      hidden_size: 2048,
      intermediate_size: 2048,
      num_hidden_layers: 16,
      num_attention_heads: 16,
      num_experts: 64,
      num_experts_per_tok: 8,
      norm_topk_prob: false,
      hidden_act: 'silu',
      max_position_embeddings: 4096,
      rms_norm_eps: 1e-5,
      tie_word_embeddings: false,
      attention_bias: false,
      eos_token_id: 50279,
    },
    only: { clip_qkv: [undefined, null] },
    freeHeadDim: true,
    headsDivideHidden: false,
    names: EXPERT_MODEL_NAMES,
  },
  gguf: {
    architectures: ['olmoe'],
    interleavedRope: false,
    holdsBiases: [],
    freeHeads: false,
    holdsRopeFactors: false,
    activation: 'silu',
    needsHead: true,
    experts: { sums: false },
    headsAlike: true,
  },
};
