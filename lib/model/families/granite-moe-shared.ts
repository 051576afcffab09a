import type { Family } from '../family';
import { graniteMoe } from './granite-moe';

const SHARED = 'model.layers.{}.shared_mlp';

/** Granite's mixtures of experts with one more that all tokens pass, without a gate. */
export const graniteMoeShared: Family = {
  ...graniteMoe,
  name: 'granite-moe-shared',
  sharedUngated: true,
  hf: {
    ...graniteMoe.hf,
    modelType: 'granitemoeshared',
    stockClass: 'GraniteMoeSharedForCausalLM',
    keys: { ...graniteMoe.hf.keys, sharedWidth: 'shared_intermediate_size' },
    defaults: { ...graniteMoe.hf.defaults, shared_intermediate_size: 0 },
    names: {
      ...graniteMoe.hf.names,
      block: {
        ...graniteMoe.hf.names.block,
        'experts.shared.gate': `${SHARED}.input_linear.weight`,
        'experts.shared.up': `${SHARED}.input_linear.weight`,
        'experts.shared.out': `${SHARED}.output_linear.weight`,
      },
    },
  },
};
