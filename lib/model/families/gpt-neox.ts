import type { Family } from '../family';
import { GGUF_JOINED_QKV_AND_BIASES } from './names';

const LAYER = 'gpt_neox.layers.{}';
const QKV = `${LAYER}.attention.query_key_value`;

/**
 * GPT-NeoX, Pythia, Dolly 2: attention and FFN side by side, layer norms and biases, a part of each head rotary, one map for queries, keys and
 * values, head by head.
 */
export const gptNeox: Family = {
  name: 'gpt-neox',
  norm: 'layer',
  gated: false,
  qkNorm: null,
  positionOffset: null,
  partialRotary: true,
  biases: { qkv: 'attention_bias', o: 'attention_bias', ffnIn: true, down: true },
  hf: {
    modelType: 'gpt_neox',
    stockClass: 'GPTNeoXForCausalLM',
    keys: {
      hidden: 'hidden_size',
      ffn: 'intermediate_size',
      blocks: 'num_hidden_layers',
      heads: 'num_attention_heads',
      vocab: 'vocab_size',
      maxPositions: 'max_position_embeddings',
      activation: 'hidden_act',
      normEps: 'layer_norm_eps',
      parallel: 'use_parallel_residual',
    },
    older: { rotary_pct: 'partial_rotary_factor', rotary_emb_base: 'rope_theta' },
    writesOlder: true,
    defaults: {
      vocab_size: 50432,
      hidden_size: 6144,
      intermediate_size: 24576,
      num_hidden_layers: 44,
      num_attention_heads: 64,
      hidden_act: 'gelu',
      max_position_embeddings: 2048,
      layer_norm_eps: 1e-5,
      use_parallel_residual: true,
      attention_bias: true,
      tie_word_embeddings: false,
      bos_token_id: 0,
      eos_token_id: 2,
    },
    only: {},
    freeHeadDim: false,
    headsDivideHidden: true,
    partialRotary: 0.25,
    names: {
      model: {
        embedding: 'gpt_neox.embed_in.weight',
        finalNorm: 'gpt_neox.final_layer_norm.weight',
        finalNormBias: 'gpt_neox.final_layer_norm.bias',
        head: 'embed_out.weight',
      },
      block: {
        'attention.norm': `${LAYER}.input_layernorm.weight`,
        'attention.normBias': `${LAYER}.input_layernorm.bias`,
        'attention.q': `${QKV}.weight`,
        'attention.qBias': `${QKV}.bias`,
        'attention.k': `${QKV}.weight`,
        'attention.kBias': `${QKV}.bias`,
        'attention.v': `${QKV}.weight`,
        'attention.vBias': `${QKV}.bias`,
        'attention.out': `${LAYER}.attention.dense.weight`,
        'attention.outBias': `${LAYER}.attention.dense.bias`,
        'ffn.norm': `${LAYER}.post_attention_layernorm.weight`,
        'ffn.normBias': `${LAYER}.post_attention_layernorm.bias`,
        'ffn.up': `${LAYER}.mlp.dense_h_to_4h.weight`,
        'ffn.upBias': `${LAYER}.mlp.dense_h_to_4h.bias`,
        'ffn.out': `${LAYER}.mlp.dense_4h_to_h.weight`,
        'ffn.outBias': `${LAYER}.mlp.dense_4h_to_h.bias`,
      },
      alternating: 'heads',
    },
  },
  gguf: {
    architectures: ['gptneox'],
    names: {
      block: GGUF_JOINED_QKV_AND_BIASES,
    },
    interleavedRope: false,
    holdsBiases: ['qkv', 'o', 'ffnIn', 'down'],
    needsBiases: true,
    freeHeads: false,
    holdsRopeFactors: false,
    // Pythia's own is GELU by the error function.
    activation: 'gelu_pytorch_tanh',
    parallel: true,
    needsHead: true,
  },
};
