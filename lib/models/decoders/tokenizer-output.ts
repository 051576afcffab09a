import { tokenizerOf } from '../../calibration/text';
import type { GgufEntry } from '../../checkpoint/container';
import type { Copied } from '../../checkpoint/copied-files';
import { ggufBytes } from '../../checkpoint/gguf-writer';
import { copiedProcessor } from '../../checkpoint/processor-files';
import type { ModelSource } from '../../model/architecture';
import type { Settings } from '../../options';
import { inThread } from '../../tokenizer';
import { copiedTokenizer } from '../../tokenizer/copied';

export interface TokenizerOutput extends Copied {
  metadata: Record<string, GgufEntry>;
}

/** The source's tokenizer for an output of the given format: copied, with a processor of images, or rebuilt from the other one's data. */
export async function tokenizerOutput(
  source: ModelSource,
  format: 'hf' | 'gguf',
  signal?: AbortSignal,
): Promise<TokenizerOutput> {
  const job = { source: tokenizerOf(source), vocab: source.architecture.vocab };
  if (format === 'gguf') {
    return { files: [], metadata: await inThread('metadata', job, signal), dropped: [] };
  }
  if (source.format === 'hf') {
    const copied = [copiedTokenizer(source.path)];
    if (source.wrapped) copied.push(copiedProcessor(source.path));
    const files = copied.flatMap((each) => each.files);
    return { files, dropped: copied.flatMap((each) => each.dropped), metadata: {} };
  }
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
