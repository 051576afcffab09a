import type { TensorNames } from '../family';

/** Hugging Face names of Llama and of the families whose code descends from it. */
export const LLAMA_NAMES: TensorNames = {
  model: {
    embedding: 'model.embed_tokens.weight',
    finalNorm: 'model.norm.weight',
    head: 'lm_head.weight',
  },
  block: {
    attnNorm: 'model.layers.{}.input_layernorm.weight',
    q: 'model.layers.{}.self_attn.q_proj.weight',
    qBias: 'model.layers.{}.self_attn.q_proj.bias',
    k: 'model.layers.{}.self_attn.k_proj.weight',
    kBias: 'model.layers.{}.self_attn.k_proj.bias',
    v: 'model.layers.{}.self_attn.v_proj.weight',
    vBias: 'model.layers.{}.self_attn.v_proj.bias',
    qNorm: 'model.layers.{}.self_attn.q_norm.weight',
    kNorm: 'model.layers.{}.self_attn.k_norm.weight',
    o: 'model.layers.{}.self_attn.o_proj.weight',
    oBias: 'model.layers.{}.self_attn.o_proj.bias',
    ffnNorm: 'model.layers.{}.post_attention_layernorm.weight',
    gate: 'model.layers.{}.mlp.gate_proj.weight',
    gateBias: 'model.layers.{}.mlp.gate_proj.bias',
    up: 'model.layers.{}.mlp.up_proj.weight',
    upBias: 'model.layers.{}.mlp.up_proj.bias',
    down: 'model.layers.{}.mlp.down_proj.weight',
    downBias: 'model.layers.{}.mlp.down_proj.bias',
  },
};

/** GGUF's names, the same for every architecture here. */
export const GGUF_NAMES: TensorNames = {
  model: {
    embedding: 'token_embd.weight',
    finalNorm: 'output_norm.weight',
    head: 'output.weight',
  },
  block: {
    attnNorm: 'blk.{}.attn_norm.weight',
    q: 'blk.{}.attn_q.weight',
    qBias: 'blk.{}.attn_q.bias',
    k: 'blk.{}.attn_k.weight',
    kBias: 'blk.{}.attn_k.bias',
    v: 'blk.{}.attn_v.weight',
    vBias: 'blk.{}.attn_v.bias',
    qNorm: 'blk.{}.attn_q_norm.weight',
    kNorm: 'blk.{}.attn_k_norm.weight',
    o: 'blk.{}.attn_output.weight',
    oBias: 'blk.{}.attn_output.bias',
    ffnNorm: 'blk.{}.ffn_norm.weight',
    gate: 'blk.{}.ffn_gate.weight',
    gateBias: 'blk.{}.ffn_gate.bias',
    up: 'blk.{}.ffn_up.weight',
    upBias: 'blk.{}.ffn_up.bias',
    down: 'blk.{}.ffn_down.weight',
    downBias: 'blk.{}.ffn_down.bias',
  },
};
