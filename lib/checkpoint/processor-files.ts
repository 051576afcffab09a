/** What a model of text and images has beside its tokenizer: how images become its inputs, and its chat template. */
import { type Copied, copiedFiles } from './copied-files';

export const PROCESSOR_FILES: readonly string[] = [
  'chat_template.json',
  'preprocessor_config.json',
  'processor_config.json',
  'video_preprocessor_config.json',
];

/** Those that a folder has, but for references to code. @throws StruPruneError ERR_CHECKPOINT */
export function copiedProcessor(folder: string): Copied {
  const refusal = { code: 'ERR_CHECKPOINT', mend: 'fetch it again, or remove it' } as const;
  return copiedFiles(folder, { plain: [], configs: PROCESSOR_FILES }, refusal);
}
