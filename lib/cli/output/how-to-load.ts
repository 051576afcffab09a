import { resolve } from 'node:path';
import type { PruneResult } from '../../pruning/result';
import { quoted } from '../../wording';

/** Commands that load a result, to copy from the terminal. */
export function howToLoad({ format, kind, output }: PruneResult): string {
  const path = resolve(output);
  if (format === 'gguf') {
    return `Load it with llama.cpp:\n  llama-cli -m ${quoted(path)} -p "Once upon a time"`;
  }
  // AutoTokenizer reads config.json too, and would ask about its code on the terminal.
  const trust = kind === 'own-modeling' ? ', trust_remote_code=True' : '';
  return [
    'Load it with transformers:',
    '  from transformers import AutoModelForCausalLM, AutoTokenizer',
    `  model = AutoModelForCausalLM.from_pretrained(${JSON.stringify(path)}${trust})`,
    `  tokenizer = AutoTokenizer.from_pretrained(${JSON.stringify(path)}${trust})`,
  ].join('\n');
}
