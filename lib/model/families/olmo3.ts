import type { Family } from '../family';
import { olmo2 } from './olmo2';

/** OLMo 3: OLMo 2's block; every fourth sees all tokens, by a rope that may be stretched, and the others slide. */
export const olmo3: Family = {
  ...olmo2,
  name: 'olmo3',
  mixesWindows: true,
  globalEvery: 4,
  twoRopes: true,
  hf: {
    ...olmo2.hf,
    modelType: 'olmo3',
    stockClass: 'Olmo3ForCausalLM',
    keys: { ...olmo2.hf.keys, slidingWindow: 'sliding_window' },
    defaults: { ...olmo2.hf.defaults, rope_theta: 5e5, sliding_window: 4096 },
  },
  gguf: { ...olmo2.gguf!, slides: true },
};
