import type { Family, GgufDescription } from '../family';
import { LLAMA_KEYS } from './llama-keys';
import { LLAMA_NAMES } from './names';

const LAYER = 'model.layers.{}';
const DELTA = `${LAYER}.linear_attn`;

/** What Qwen3-Next shares. */
export const QWEN35_GGUF = {
  interleavedRope: false,
  holdsBiases: [],
  freeHeads: true,
  holdsRopeFactors: false,
  activation: 'silu',
  names: {
    block: {
      'ffn.norm': 'blk.{}.post_attention_norm.weight',
      'experts.norm': 'blk.{}.post_attention_norm.weight',
    },
  },
} as const satisfies Omit<GgufDescription, 'architectures'>;

/**
 * Qwen3.5, the dense models: a gated delta rule in three blocks of four, gated attention with a partial rope in the others;
 * weights of norms are stored less 1, but for that of a delta rule.
 */
export const qwen35: Family = {
  name: 'qwen3.5',
  norm: 'rms',
  gated: true,
  qkNorm: 'head',
  positionOffset: null,
  partialRotary: true,
  otherMixer: 'delta',
  attentionEvery: 4,
  gatedAttention: true,
  biases: { qkv: 'attention_bias', o: 'attention_bias', ffnIn: false, down: false },
  hf: {
    modelType: 'qwen3_5_text',
    stockClass: 'Qwen3_5ForCausalLM',
    base: 'Qwen3_5Text',
    keys: {
      ...LLAMA_KEYS,
      deltaKeyHeads: 'linear_num_key_heads',
      deltaValueHeads: 'linear_num_value_heads',
      deltaKeyDim: 'linear_key_head_dim',
      deltaValueDim: 'linear_value_head_dim',
      deltaKernel: 'linear_conv_kernel_dim',
    },
    partialRotary: 0.25,
    // It guesses tokens further ahead.
    unloaded: 'mtp.',
    defaults: {
      vocab_size: 248320,
      hidden_size: 4096,
      intermediate_size: 12288,
      num_hidden_layers: 32,
      num_attention_heads: 16,
      num_key_value_heads: 4,
      head_dim: 256,
      hidden_act: 'silu',
      max_position_embeddings: 32768,
      rms_norm_eps: 1e-6,
      tie_word_embeddings: false,
      attention_bias: false,
      linear_conv_kernel_dim: 4,
      linear_key_head_dim: 128,
      linear_value_head_dim: 128,
      linear_num_key_heads: 16,
      linear_num_value_heads: 32,
    },
    // The delta rule has SiLU beside it.
    only: { hidden_act: ['silu'], attn_output_gate: [true, undefined] },
    freeHeadDim: true,
    headsDivideHidden: false,
    normOffset: 1,
    names: {
      model: LLAMA_NAMES.model,
      block: {
        ...LLAMA_NAMES.block,
        'delta.norm': `${LAYER}.input_layernorm.weight`,
        'delta.q': `${DELTA}.in_proj_qkv.weight`,
        'delta.k': `${DELTA}.in_proj_qkv.weight`,
        'delta.v': `${DELTA}.in_proj_qkv.weight`,
        'delta.outGate': `${DELTA}.in_proj_z.weight`,
        'delta.beta': `${DELTA}.in_proj_b.weight`,
        'delta.alpha': `${DELTA}.in_proj_a.weight`,
        'delta.kernel': `${DELTA}.conv1d.weight`,
        'delta.decay': `${DELTA}.A_log`,
        'delta.step': `${DELTA}.dt_bias`,
        'delta.gain': `${DELTA}.norm.weight`,
        'delta.out': `${DELTA}.out_proj.weight`,
      },
    },
  },
  gguf: {
    ...QWEN35_GGUF,
    architectures: ['qwen35'],
    ropeSections: true,
    tilesValueHeads: true,
    looksAhead: true,
  },
};
