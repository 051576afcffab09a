import type { Family } from '../family';
import { LLAMA_KEYS } from './llama-keys';
import { EXPERT_MODEL_NAMES } from './names';

const MOE = 'model.layers.{}.block_sparse_moe';
const EXPERT = `${MOE}.experts.{expert}`;

/** Mixtral: Mistral's block whose FFN is experts. */
export const mixtral: Family = {
  name: 'mixtral',
  norm: 'rms',
  gated: true,
  qkNorm: null,
  positionOffset: null,
  renormalises: true,
  biases: { qkv: false, o: false, ffnIn: false, down: false },
  hf: {
    modelType: 'mixtral',
    stockClass: 'MixtralForCausalLM',
    keys: {
      ...LLAMA_KEYS,
      slidingWindow: 'sliding_window',
      experts: 'num_local_experts',
      topK: 'num_experts_per_tok',
    },
    defaults: {
      vocab_size: 32000,
      hidden_size: 4096,
      intermediate_size: 14336,
      num_hidden_layers: 32,
      num_attention_heads: 32,
      num_key_value_heads: 8,
      num_local_experts: 8,
      num_experts_per_tok: 2,
      hidden_act: 'silu',
      max_position_embeddings: 131072,
      rms_norm_eps: 1e-5,
      rope_theta: 1e6,
      tie_word_embeddings: false,
      bos_token_id: 1,
      eos_token_id: 2,
    },
    only: {},
    freeHeadDim: true,
    headsDivideHidden: false,
    names: {
      ...EXPERT_MODEL_NAMES,
      block: {
        ...EXPERT_MODEL_NAMES.block,
        'experts.router': `${MOE}.gate.weight`,
        'experts.{expert}.gate': `${EXPERT}.w1.weight`,
        'experts.{expert}.up': `${EXPERT}.w3.weight`,
        'experts.{expert}.out': `${EXPERT}.w2.weight`,
      },
    },
  },
  gguf: {
    architectures: ['llama'],
    interleavedRope: true,
    holdsBiases: [],
    freeHeads: true,
    holdsRopeFactors: true,
    activation: 'silu',
    experts: { sums: true },
  },
};
