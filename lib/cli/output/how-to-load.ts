import { resolve } from 'node:path';
import { loadingCode } from '../../models/decoders/model-card';
import type { PruneResult } from '../../pruning/result';
import { quoted } from '../../wording';

/** Commands that load a result, to copy from the terminal. */
export function howToLoad(result: PruneResult): string {
  const { format, output } = result;
  const path = resolve(output);
  if (format === 'gguf') {
    return `Load it with llama.cpp:\n  llama-cli -m ${quoted(path)} -p "Once upon a time"`;
  }
  const code = loadingCode(result, JSON.stringify(path));
  return ['Load it with transformers:', ...code.map((line) => `  ${line}`)].join('\n');
}
