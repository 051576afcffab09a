import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { tokenizerOf } from '../calibration/text';
import type { GgufEntry } from '../checkpoint/container';
import type { ModelSource } from '../model/architecture';
import { ggufMetadataFromTokenizer, readTokenizerFiles } from '../tokenizer';

/** Files of a Hugging Face tokenizer that are copied as they are where the source has them. */
const FILES = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.json',
  'merges.txt',
  'tokenizer.model',
  'chat_template.jinja',
];

export interface TokenizerOutput {
  files: { name: string; text: string | Uint8Array }[];
  metadata: Record<string, GgufEntry>;
}

/** The source's tokenizer for an output of the given format: copied, or rebuilt from the other one's data. */
export function tokenizerOutput(source: ModelSource, format: 'hf' | 'gguf'): TokenizerOutput {
  if (format === 'hf') {
    return { files: source.format === 'hf' ? copied(source.path) : rebuilt(source), metadata: {} };
  }
  return { files: [], metadata: metadataOf(source) };
}

function copied(folder: string): TokenizerOutput['files'] {
  return FILES.filter((name) => existsSync(join(folder, name))).map((name) => ({
    name,
    text: readFileSync(join(folder, name)),
  }));
}

function rebuilt(source: ModelSource): TokenizerOutput['files'] {
  const { tokenizerJson, tokenizerConfig, specialTokensMap } = readTokenizerFiles(
    tokenizerOf(source),
  );
  const json = (name: string, value: unknown) => ({
    name,
    text: `${JSON.stringify(value, null, 2)}\n`,
  });
  return [
    json('tokenizer.json', tokenizerJson),
    json('tokenizer_config.json', tokenizerConfig),
    json('special_tokens_map.json', specialTokensMap),
  ];
}

function metadataOf(source: ModelSource): Record<string, GgufEntry> {
  const { tokenizerJson, tokenizerConfig } = readTokenizerFiles(tokenizerOf(source));
  return ggufMetadataFromTokenizer(tokenizerJson, tokenizerConfig, source.architecture.vocab);
}
