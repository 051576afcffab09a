import type { Family } from '../family';

const LAYER = 'model.decoder.layers.{}';

/**
 * OPT. 125M and larger put the norms in front; 350M puts them behind, has no final norm, and embeds in
 * a narrower space (project_in, project_out). llama.cpp has no architecture for it.
 */
export const opt: Family = {
  name: 'opt',
  norm: 'layer',
  gated: false,
  qkNorm: null,
  positionOffset: 2,
  biases: { qkv: 'enable_bias', o: 'enable_bias', ffnIn: 'enable_bias', down: 'enable_bias' },
  hf: {
    modelType: 'opt',
    stockClass: 'OPTForCausalLM',
    keys: {
      hidden: 'hidden_size',
      ffn: 'ffn_dim',
      blocks: 'num_hidden_layers',
      heads: 'num_attention_heads',
      vocab: 'vocab_size',
      maxPositions: 'max_position_embeddings',
      activation: 'activation_function',
      preNorm: 'do_layer_norm_before',
      embeddingWidth: 'word_embed_proj_dim',
    },
    defaults: {
      activation_function: 'relu',
      do_layer_norm_before: true,
      tie_word_embeddings: true,
      enable_bias: true,
      layer_norm_elementwise_affine: true,
      _remove_final_layer_norm: false,
      bos_token_id: 2,
      eos_token_id: 2,
    },
    only: { layer_norm_elementwise_affine: [true], _remove_final_layer_norm: [false] },
    freeHeadDim: false,
    headsDivideHidden: true,
    names: {
      model: {
        embedding: 'model.decoder.embed_tokens.weight',
        positions: 'model.decoder.embed_positions.weight',
        projectIn: 'model.decoder.project_in.weight',
        projectOut: 'model.decoder.project_out.weight',
        finalNorm: 'model.decoder.final_layer_norm.weight',
        finalNormBias: 'model.decoder.final_layer_norm.bias',
        head: 'lm_head.weight',
      },
      block: {
        'attention.norm': `${LAYER}.self_attn_layer_norm.weight`,
        'attention.streamNorm': `${LAYER}.self_attn_layer_norm.weight`,
        'attention.normBias': `${LAYER}.self_attn_layer_norm.bias`,
        'attention.streamNormBias': `${LAYER}.self_attn_layer_norm.bias`,
        'attention.q': `${LAYER}.self_attn.q_proj.weight`,
        'attention.qBias': `${LAYER}.self_attn.q_proj.bias`,
        'attention.k': `${LAYER}.self_attn.k_proj.weight`,
        'attention.kBias': `${LAYER}.self_attn.k_proj.bias`,
        'attention.v': `${LAYER}.self_attn.v_proj.weight`,
        'attention.vBias': `${LAYER}.self_attn.v_proj.bias`,
        'attention.out': `${LAYER}.self_attn.out_proj.weight`,
        'attention.outBias': `${LAYER}.self_attn.out_proj.bias`,
        'ffn.norm': `${LAYER}.final_layer_norm.weight`,
        'ffn.streamNorm': `${LAYER}.final_layer_norm.weight`,
        'ffn.normBias': `${LAYER}.final_layer_norm.bias`,
        'ffn.streamNormBias': `${LAYER}.final_layer_norm.bias`,
        'ffn.up': `${LAYER}.fc1.weight`,
        'ffn.upBias': `${LAYER}.fc1.bias`,
        'ffn.out': `${LAYER}.fc2.weight`,
        'ffn.outBias': `${LAYER}.fc2.bias`,
      },
    },
  },
  gguf: null,
};
