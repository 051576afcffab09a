import type { Family } from '../family';
import { granite } from './granite';
import { LLAMA_NAMES } from './names';

const LAYER = 'model.layers.{}';
const MOE = `${LAYER}.block_sparse_moe`;
const EXPERTS = { 'experts.norm': `${LAYER}.post_attention_layernorm.weight` };

/** Granite 3's mixtures of experts (1B-A400M, 3B-A800M): Granite's block whose FFN is experts, all of a block in one tensor. */
export const graniteMoe: Family = {
  name: 'granite-moe',
  norm: 'rms',
  gated: true,
  qkNorm: null,
  positionOffset: null,
  renormalises: true,
  biases: { qkv: 'attention_bias', o: 'attention_bias', ffnIn: false, down: false },
  hf: {
    modelType: 'granitemoe',
    stockClass: 'GraniteMoeForCausalLM',
    keys: {
      ...granite.hf.keys,
      experts: 'num_local_experts',
      topK: 'num_experts_per_tok',
    },
    defaults: {
      vocab_size: 32000,
      hidden_size: 4096,
      intermediate_size: 11008,
      num_hidden_layers: 32,
      num_attention_heads: 32,
      num_local_experts: 8,
      num_experts_per_tok: 2,
      hidden_act: 'silu',
      max_position_embeddings: 2048,
      rms_norm_eps: 1e-6,
      tie_word_embeddings: false,
      attention_bias: false,
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
    names: {
      model: LLAMA_NAMES.model,
      block: {
        ...LLAMA_NAMES.block,
        ...EXPERTS,
        'experts.router': `${MOE}.router.layer.weight`,
        'experts.{expert}.gate': `${MOE}.input_linear.weight`,
        'experts.{expert}.up': `${MOE}.input_linear.weight`,
        'experts.{expert}.out': `${MOE}.output_linear.weight`,
      },
      stacked: {
        ...EXPERTS,
        'experts.router': `${MOE}.router.weight`,
        'experts.{expert}.gate': `${MOE}.experts.gate_up_proj`,
        'experts.{expert}.up': `${MOE}.experts.gate_up_proj`,
        'experts.{expert}.out': `${MOE}.experts.down_proj`,
      },
    },
  },
  gguf: {
    architectures: ['granitemoe'],
    interleavedRope: true,
    holdsBiases: ['qkv', 'o'],
    freeHeads: true,
    holdsRopeFactors: true,
    activation: 'silu',
    multipliers: true,
    experts: { sums: true },
  },
};
