import { join } from 'node:path';
import { tokenizerOf } from '../../calibration/text';
import { withoutCode } from '../../checkpoint/code-references';
import type { GgufEntry } from '../../checkpoint/container';
import { ggufBytes } from '../../checkpoint/gguf-writer';
import { parseJsonObject } from '../../json-object';
import type { ModelSource } from '../../model/architecture';
import type { Settings } from '../../options';
import { inThread } from '../../tokenizer';
import {
  readTokenizerFile,
  TEMPLATES,
  TOKENIZER_REFUSAL,
  templateFiles,
} from '../../tokenizer/folder';

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
/** Of these, configurations; keys of the others may be tokens. */
const CONFIGS = ['tokenizer_config.json', 'special_tokens_map.json'];

export interface TokenizerOutput {
  /** `name` may lead into a folder. */
  files: { name: string; text: string | Uint8Array }[];
  metadata: Record<string, GgufEntry>;
  /** References to code that were left out. */
  dropped: string[];
}

/** The source's tokenizer for an output of the given format: copied, or rebuilt from the other one's data. */
export async function tokenizerOutput(
  source: ModelSource,
  format: 'hf' | 'gguf',
  signal?: AbortSignal,
): Promise<TokenizerOutput> {
  const job = { source: tokenizerOf(source), vocab: source.architecture.vocab };
  if (format === 'gguf') {
    return { files: [], metadata: await inThread('metadata', job, signal), dropped: [] };
  }
  if (source.format === 'hf') return copied(source.path);
  return { files: await inThread('files', job, signal), metadata: {}, dropped: [] };
}

/** What a file of the provenance's metadata takes beside the tokenizer's, at most: names, hashes, the command. */
const PROVENANCE_BYTES = 4096;

/** Bytes of a GGUF output's metadata that the export plan does not know; 0 for a folder. */
export async function tokenizerBytes(
  source: ModelSource,
  format: 'hf' | 'gguf',
  signal?: AbortSignal,
): Promise<number> {
  if (format === 'hf') return 0;
  const { metadata } = await tokenizerOutput(source, format, signal);
  return PROVENANCE_BYTES + ggufBytes([], metadata);
}

/** The same where a target in bytes asks for it, else 0. */
export async function tokenizerBytesOf(
  source: ModelSource,
  { targetSize, format }: Pick<Settings, 'targetSize' | 'format'>,
  signal?: AbortSignal,
): Promise<number> {
  return targetSize === undefined ? 0 : tokenizerBytes(source, format, signal);
}

function copied(folder: string): TokenizerOutput {
  const output: TokenizerOutput = { files: [], metadata: {}, dropped: [] };
  const named = templateFiles(folder).map((name) => join(TEMPLATES, name));
  for (const name of [...FILES, ...named]) {
    const text = readTokenizerFile(folder, name);
    if (text === null) continue;
    const { value, dropped } = CONFIGS.includes(name)
      ? withoutCode(parseJsonObject(text, join(folder, name), TOKENIZER_REFUSAL), name)
      : { value: null, dropped: [] };
    const kept = dropped.length === 0 ? text : `${JSON.stringify(value, null, 2)}\n`;
    output.files.push({ name, text: kept });
    output.dropped.push(...dropped);
  }
  return output;
}
