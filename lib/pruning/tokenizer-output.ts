import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { tokenizerOf } from '../calibration/text';
import type { GgufEntry } from '../checkpoint/container';
import { ggufBytes } from '../checkpoint/gguf-writer';
import { exists } from '../checkpoint/output-path';
import type { ModelSource } from '../model/architecture';
import type { Settings } from '../options';
import { inThread } from '../tokenizer';
import { TEMPLATES, templateFiles } from '../tokenizer/folder';

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
  /** `name` may lead into a folder. */
  files: { name: string; text: string | Uint8Array }[];
  metadata: Record<string, GgufEntry>;
}

/** The source's tokenizer for an output of the given format: copied, or rebuilt from the other one's data. */
export async function tokenizerOutput(
  source: ModelSource,
  format: 'hf' | 'gguf',
  signal?: AbortSignal,
): Promise<TokenizerOutput> {
  const job = { source: tokenizerOf(source), vocab: source.architecture.vocab };
  if (format === 'gguf') return { files: [], metadata: await inThread('metadata', job, signal) };
  const files =
    source.format === 'hf' ? await copied(source.path) : await inThread('files', job, signal);
  return { files, metadata: {} };
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

async function copied(folder: string): Promise<TokenizerOutput['files']> {
  const named = templateFiles(folder).map((name) => join(TEMPLATES, name));
  const files: TokenizerOutput['files'] = [];
  for (const name of [...FILES, ...named]) {
    const path = join(folder, name);
    if (await exists(path)) files.push({ name, text: await readFile(path) });
  }
  return files;
}
