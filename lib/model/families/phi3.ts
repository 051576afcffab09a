import type { Family } from '../family';
import { LLAMA_KEYS } from './llama-keys';
import { GGUF_JOINED_QKV, LLAMA_NAMES } from './names';

const LAYER = 'model.layers.{}';
const QKV = `${LAYER}.self_attn.qkv_proj.weight`;
const GATE_UP = `${LAYER}.mlp.gate_up_proj.weight`;

/** Phi-3, Phi-3.5, Phi-4 and Phi-4-mini: Llama's block whose input maps are fused, in part of a head rotary. */
export const phi3: Family = {
  name: 'phi3',
  norm: 'rms',
  gated: true,
  qkNorm: null,
  positionOffset: null,
  partialRotary: true,
  biases: { qkv: false, o: false, ffnIn: false, down: false },
  hf: {
    modelType: 'phi3',
    stockClass: 'Phi3ForCausalLM',
    keys: { ...LLAMA_KEYS, slidingWindow: 'sliding_window' },
    defaults: {
      vocab_size: 32064,
      hidden_size: 3072,
      intermediate_size: 8192,
      num_hidden_layers: 32,
      num_attention_heads: 32,
      hidden_act: 'silu',
      max_position_embeddings: 4096,
      original_max_position_embeddings: 4096,
      rms_norm_eps: 1e-5,
      tie_word_embeddings: false,
      bos_token_id: 1,
      eos_token_id: 32000,
    },
    only: {},
    // Its configuration counts the factors of longrope by hidden ÷ heads.
    freeHeadDim: 'without longrope',
    headsDivideHidden: false,
    names: {
      model: LLAMA_NAMES.model,
      block: {
        ...LLAMA_NAMES.block,
        'attention.q': QKV,
        'attention.k': QKV,
        'attention.v': QKV,
        'ffn.gate': GATE_UP,
        'ffn.up': GATE_UP,
      },
    },
  },
  gguf: {
    architectures: ['phi3'],
    names: {
      block: {
        ...GGUF_JOINED_QKV,
        'ffn.gate': 'blk.{}.ffn_up.weight',
        'ffn.up': 'blk.{}.ffn_up.weight',
      },
    },
    interleavedRope: false,
    holdsBiases: [],
    freeHeads: false,
    holdsRopeFactors: false,
    holdsLongrope: true,
    activation: 'silu',
  },
};
