import type { Family } from '../family';
import { mistral } from './mistral';

/** Ministral: Mistral's block, some of which may see all tokens. In GGUF it is written as `llama`. */
export const ministral: Family = {
  ...mistral,
  name: 'ministral',
  mixesWindows: true,
  hf: { ...mistral.hf, modelType: 'ministral', stockClass: 'MinistralForCausalLM' },
};
