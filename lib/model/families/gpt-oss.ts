import type { Family } from '../family';
import { LLAMA_KEYS } from './llama-keys';
import { LLAMA_NAMES } from './names';

const LAYER = 'model.layers.{}';
const EXPERTS = `${LAYER}.mlp.experts`;

/**
 * gpt-oss (20b, 120b): experts with biases and clamped gates, all of a block in one tensor, whose rows of gate and up take turns;
 * attention with sinks, every second one over all tokens, the others in a window.
 */
export const gptOss: Family = {
  name: 'gpt-oss',
  norm: 'rms',
  gated: true,
  qkNorm: null,
  positionOffset: null,
  sinks: true,
  mixesWindows: true,
  globalEvery: 2,
  renormalises: true,
  routerBias: true,
  biases: { qkv: 'attention_bias', o: 'attention_bias', ffnIn: true, down: true },
  hf: {
    modelType: 'gpt_oss',
    stockClass: 'GptOssForCausalLM',
    keys: {
      ...LLAMA_KEYS,
      slidingWindow: 'sliding_window',
      experts: 'num_local_experts',
      topK: 'num_experts_per_tok',
      gateLimit: 'swiglu_limit',
      gateAlpha: 'swiglu_alpha',
    },
    defaults: {
      vocab_size: 201088,
      hidden_size: 2880,
      intermediate_size: 2880,
      num_hidden_layers: 36,
      num_attention_heads: 64,
      num_key_value_heads: 8,
      head_dim: 64,
      num_local_experts: 128,
      num_experts_per_tok: 4,
      hidden_act: 'silu',
      max_position_embeddings: 131072,
      rms_norm_eps: 1e-5,
      rope_theta: 150000,
      rope_parameters: {
        rope_type: 'yarn',
        factor: 32,
        beta_fast: 32,
        beta_slow: 1,
        truncate: false,
        original_max_position_embeddings: 4096,
      },
      sliding_window: 128,
      swiglu_alpha: 1.702,
      swiglu_limit: 7,
      attention_bias: true,
      tie_word_embeddings: false,
    },
    // What gates are is not a choice of the configuration.
    only: { hidden_act: ['silu'] },
    freeHeadDim: true,
    headsDivideHidden: false,
    names: {
      model: LLAMA_NAMES.model,
      block: {
        ...LLAMA_NAMES.block,
        'attention.sinks': `${LAYER}.self_attn.sinks`,
        'experts.norm': `${LAYER}.post_attention_layernorm.weight`,
        'experts.router': `${LAYER}.mlp.router.weight`,
        'experts.routerBias': `${LAYER}.mlp.router.bias`,
        'experts.{expert}.gate': `${EXPERTS}.gate_up_proj`,
        'experts.{expert}.gateBias': `${EXPERTS}.gate_up_proj_bias`,
        'experts.{expert}.up': `${EXPERTS}.gate_up_proj`,
        'experts.{expert}.upBias': `${EXPERTS}.gate_up_proj_bias`,
        'experts.{expert}.out': `${EXPERTS}.down_proj`,
        'experts.{expert}.outBias': `${EXPERTS}.down_proj_bias`,
      },
      transposed: 'experts',
      alternating: 'rows',
    },
    mxfp4: true,
  },
  gguf: {
    architectures: ['gpt-oss'],
    interleavedRope: false,
    holdsBiases: ['qkv', 'o', 'ffnIn', 'down'],
    needsBiases: true,
    freeHeads: true,
    names: { block: { 'experts.norm': 'blk.{}.post_attention_norm.weight' } },
    holdsRopeFactors: false,
    activation: 'silu',
    clampedGate: { limit: 7, alpha: 1.702 },
    needsHead: true,
    slides: true,
    experts: { sums: true, ownWidth: true },
  },
};
