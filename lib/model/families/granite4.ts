import type { Family } from '../family';
import { granite } from './granite';
import { LLAMA_NAMES } from './names';

const LAYER = 'model.layers.{}';
const GATE_UP = `${LAYER}.shared_mlp.input_linear.weight`;

/** Granite 4, the dense models (350M, 1B, Micro): Granite 3's block in a class that may have state spaces and experts beside. */
export const granite4: Family = {
  ...granite,
  name: 'granite4',
  biases: { qkv: 'attention_bias', o: 'attention_bias', ffnIn: false, down: false },
  hf: {
    ...granite.hf,
    modelType: 'granitemoehybrid',
    stockClass: 'GraniteMoeHybridForCausalLM',
    keys: { ...granite.hf.keys, ffn: 'shared_intermediate_size' },
    defaults: {
      ...granite.hf.defaults,
      shared_intermediate_size: 1024,
      num_local_experts: 8,
      position_embedding_type: null,
    },
    only: { num_local_experts: [0], position_embedding_type: ['rope'] },
    written: { num_local_experts: 0 },
    unused: ['time_step_limit'],
    blockType: 'attention',
    names: {
      model: LLAMA_NAMES.model,
      block: {
        ...LLAMA_NAMES.block,
        'ffn.gate': GATE_UP,
        'ffn.up': GATE_UP,
        'ffn.out': `${LAYER}.shared_mlp.output_linear.weight`,
      },
    },
  },
  gguf: { ...granite.gguf!, holdsBiases: ['qkv', 'o'] },
};
