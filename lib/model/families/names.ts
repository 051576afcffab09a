import type { GgufDescription, TensorNames } from '../family';

const LAYER = 'model.layers.{}';

/** Hugging Face names of the maps of Llama and of the families whose code descends from it, and of norms of queries and keys. */
export const LLAMA_MAPS: TensorNames['block'] = {
  'attention.q': `${LAYER}.self_attn.q_proj.weight`,
  'attention.qBias': `${LAYER}.self_attn.q_proj.bias`,
  'attention.k': `${LAYER}.self_attn.k_proj.weight`,
  'attention.kBias': `${LAYER}.self_attn.k_proj.bias`,
  'attention.v': `${LAYER}.self_attn.v_proj.weight`,
  'attention.vBias': `${LAYER}.self_attn.v_proj.bias`,
  'attention.qNorm': `${LAYER}.self_attn.q_norm.weight`,
  'attention.kNorm': `${LAYER}.self_attn.k_norm.weight`,
  'attention.out': `${LAYER}.self_attn.o_proj.weight`,
  'attention.outBias': `${LAYER}.self_attn.o_proj.bias`,
  'ffn.gate': `${LAYER}.mlp.gate_proj.weight`,
  'ffn.gateBias': `${LAYER}.mlp.gate_proj.bias`,
  'ffn.up': `${LAYER}.mlp.up_proj.weight`,
  'ffn.upBias': `${LAYER}.mlp.up_proj.bias`,
  'ffn.out': `${LAYER}.mlp.down_proj.weight`,
  'ffn.outBias': `${LAYER}.mlp.down_proj.bias`,
};

/** The same with the norms in front of attention and FFN. */
export const LLAMA_NAMES: TensorNames = {
  model: {
    embedding: 'model.embed_tokens.weight',
    finalNorm: 'model.norm.weight',
    head: 'lm_head.weight',
  },
  block: {
    ...LLAMA_MAPS,
    'attention.norm': `${LAYER}.input_layernorm.weight`,
    'ffn.norm': `${LAYER}.post_attention_layernorm.weight`,
  },
};

/** The same with norms on both sides of attention and FFN. */
export const GEMMA_NAMES: TensorNames = {
  model: LLAMA_NAMES.model,
  block: {
    ...LLAMA_NAMES.block,
    'attention.outNorm': `${LAYER}.post_attention_layernorm.weight`,
    'ffn.norm': `${LAYER}.pre_feedforward_layernorm.weight`,
    'ffn.outNorm': `${LAYER}.post_feedforward_layernorm.weight`,
  },
};

/** Of experts, each by itself. */
const EXPERT_NAMES: TensorNames['block'] = {
  'experts.norm': `${LAYER}.post_attention_layernorm.weight`,
  'experts.router': `${LAYER}.mlp.gate.weight`,
  'experts.{expert}.gate': `${LAYER}.mlp.experts.{expert}.gate_proj.weight`,
  'experts.{expert}.up': `${LAYER}.mlp.experts.{expert}.up_proj.weight`,
  'experts.{expert}.out': `${LAYER}.mlp.experts.{expert}.down_proj.weight`,
};
/** The same block whose FFN is experts: as transformers writes them, and as it has them in memory. */
export const EXPERT_MODEL_NAMES: TensorNames = {
  model: LLAMA_NAMES.model,
  block: { ...LLAMA_NAMES.block, ...EXPERT_NAMES },
  stacked: {
    ...EXPERT_NAMES,
    'experts.{expert}.gate': `${LAYER}.mlp.experts.gate_up_proj`,
    'experts.{expert}.up': `${LAYER}.mlp.experts.gate_up_proj`,
    'experts.{expert}.out': `${LAYER}.mlp.experts.down_proj`,
  },
};
/** Of one more that all tokens pass. */
export const SHARED_EXPERT_NAMES: TensorNames['block'] = {
  'experts.sharedGate': `${LAYER}.mlp.shared_expert_gate.weight`,
  'experts.shared.gate': `${LAYER}.mlp.shared_expert.gate_proj.weight`,
  'experts.shared.up': `${LAYER}.mlp.shared_expert.up_proj.weight`,
  'experts.shared.out': `${LAYER}.mlp.shared_expert.down_proj.weight`,
};

/** llama.cpp's names of queries, keys and values that lie in one tensor. */
export const GGUF_JOINED_QKV = {
  'attention.q': 'blk.{}.attn_qkv.weight',
  'attention.k': 'blk.{}.attn_qkv.weight',
  'attention.v': 'blk.{}.attn_qkv.weight',
};

/** With their biases. */
export const GGUF_JOINED_QKV_AND_BIASES = {
  ...GGUF_JOINED_QKV,
  'attention.qBias': 'blk.{}.attn_qkv.bias',
  'attention.kBias': 'blk.{}.attn_qkv.bias',
  'attention.vBias': 'blk.{}.attn_qkv.bias',
};

/** Those of one of a family's architectures in GGUF. */
export function ggufNames(gguf: GgufDescription, architecture: string): TensorNames {
  const { unlike } = gguf;
  const isUnlike = architecture === unlike?.architecture;
  const { model, block, ...turns } = isUnlike ? { block: unlike!.names } : (gguf.names ?? {});
  return {
    ...GGUF_NAMES,
    ...turns,
    model: { ...GGUF_NAMES.model, ...model },
    block: { ...GGUF_NAMES.block, ...block },
  };
}

/** GGUF's names, the same for most architectures here. */
export const GGUF_NAMES: TensorNames = {
  model: {
    embedding: 'token_embd.weight',
    positions: 'position_embd.weight',
    finalNorm: 'output_norm.weight',
    finalNormBias: 'output_norm.bias',
    head: 'output.weight',
  },
  block: {
    'attention.norm': 'blk.{}.attn_norm.weight',
    'attention.normBias': 'blk.{}.attn_norm.bias',
    'attention.q': 'blk.{}.attn_q.weight',
    'attention.qBias': 'blk.{}.attn_q.bias',
    'attention.k': 'blk.{}.attn_k.weight',
    'attention.kBias': 'blk.{}.attn_k.bias',
    'attention.v': 'blk.{}.attn_v.weight',
    'attention.vBias': 'blk.{}.attn_v.bias',
    'attention.qNorm': 'blk.{}.attn_q_norm.weight',
    'attention.kNorm': 'blk.{}.attn_k_norm.weight',
    'attention.sinks': 'blk.{}.attn_sinks.weight',
    'attention.out': 'blk.{}.attn_output.weight',
    'attention.outBias': 'blk.{}.attn_output.bias',
    'attention.outNorm': 'blk.{}.post_attention_norm.weight',
    'delta.norm': 'blk.{}.attn_norm.weight',
    'delta.q': 'blk.{}.attn_qkv.weight',
    'delta.k': 'blk.{}.attn_qkv.weight',
    'delta.v': 'blk.{}.attn_qkv.weight',
    'delta.outGate': 'blk.{}.attn_gate.weight',
    'delta.beta': 'blk.{}.ssm_beta.weight',
    'delta.alpha': 'blk.{}.ssm_alpha.weight',
    'delta.kernel': 'blk.{}.ssm_conv1d.weight',
    'delta.decay': 'blk.{}.ssm_a',
    'delta.step': 'blk.{}.ssm_dt.bias',
    'delta.gain': 'blk.{}.ssm_norm.weight',
    'delta.out': 'blk.{}.ssm_out.weight',
    'convolution.norm': 'blk.{}.attn_norm.weight',
    'convolution.in': 'blk.{}.shortconv.in_proj.weight',
    'convolution.kernel': 'blk.{}.shortconv.conv.weight',
    'convolution.out': 'blk.{}.shortconv.out_proj.weight',
    'ffn.norm': 'blk.{}.ffn_norm.weight',
    'ffn.normBias': 'blk.{}.ffn_norm.bias',
    'ffn.gate': 'blk.{}.ffn_gate.weight',
    'ffn.gateBias': 'blk.{}.ffn_gate.bias',
    'ffn.up': 'blk.{}.ffn_up.weight',
    'ffn.upBias': 'blk.{}.ffn_up.bias',
    'ffn.out': 'blk.{}.ffn_down.weight',
    'ffn.outBias': 'blk.{}.ffn_down.bias',
    'ffn.outNorm': 'blk.{}.post_ffw_norm.weight',
    'experts.norm': 'blk.{}.ffn_norm.weight',
    'experts.router': 'blk.{}.ffn_gate_inp.weight',
    'experts.routerBias': 'blk.{}.ffn_gate_inp.bias',
    'experts.choiceBias': 'blk.{}.exp_probs_b.bias',
    'experts.{expert}.gate': 'blk.{}.ffn_gate_exps.weight',
    'experts.{expert}.gateBias': 'blk.{}.ffn_gate_exps.bias',
    'experts.{expert}.up': 'blk.{}.ffn_up_exps.weight',
    'experts.{expert}.upBias': 'blk.{}.ffn_up_exps.bias',
    'experts.{expert}.out': 'blk.{}.ffn_down_exps.weight',
    'experts.{expert}.outBias': 'blk.{}.ffn_down_exps.bias',
    'experts.sharedGate': 'blk.{}.ffn_gate_inp_shexp.weight',
    'experts.shared.gate': 'blk.{}.ffn_gate_shexp.weight',
    'experts.shared.up': 'blk.{}.ffn_up_shexp.weight',
    'experts.shared.out': 'blk.{}.ffn_down_shexp.weight',
  },
  flat: true,
};
