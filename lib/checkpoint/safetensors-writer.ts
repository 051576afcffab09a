import { join } from 'node:path';

import { StruPruneError } from '../errors';
import { MXFP4_BLOCK } from '../model/bind';
import { AtomicFile, type AtomicOptions, orAbort } from './atomic';
import type { CopiedTensor } from './export-wrapped';
import {
  type OutputTensor,
  type PlacedTensor,
  placeTensors,
  TensorSequence,
} from './tensor-sequence';

export interface SafetensorsWriterOptions extends AtomicOptions {
  /** Starts another file before one would hold more than this; a single tensor may be larger. */
  maxShardBytes?: number;
  /** `__metadata__` of every file; transformers asks for `format: 'pt'`, the default. */
  metadata?: Record<string, string>;
  /** In front of the others, as they are stated. */
  copied?: readonly CopiedTensor[];
}

/** What transformers takes as the largest file unless told otherwise. */
export const DEFAULT_SHARD_BYTES = 5_000_000_000;

const DEFAULT_METADATA = { format: 'pt' };
const DTYPES = ['F32', 'F16', 'BF16', 'F4_E2M1', 'F8_E8M0'];

/** As a header has it. */
type Stated = Pick<CopiedTensor, 'name' | 'dtype' | 'shape' | 'bytes'>;

interface Shard {
  name: string;
  tensors: Stated[];
}

/**
 * Writes `model.safetensors`, or numbered files with `model.safetensors.index.json`, into a folder. A failed
 * writer leaves nothing behind; several files get their names one after the other in `close`, so that only
 * inside an AtomicFolder they appear all at once. Format: https://huggingface.co/docs/safetensors
 */
export class SafetensorsWriter {
  private readonly files: AtomicFile[] = [];
  private readonly sequence: TensorSequence;
  /** Tensors up to the end of the file that is being filled. */
  private end = 0;

  private constructor(
    private readonly folder: string,
    private readonly shards: Shard[],
    private readonly options: SafetensorsWriterOptions,
  ) {
    this.sequence = new TensorSequence(shards.flatMap(({ tensors }) => tensors));
  }

  /** @throws StruPruneError ERR_OUTPUT; ERR_UNSUPPORTED for dtypes that the format lacks */
  static async create(
    folder: string,
    tensors: OutputTensor[],
    options: SafetensorsWriterOptions = {},
  ): Promise<SafetensorsWriter> {
    const placed = placeTensors(tensors);
    const alien = placed.find(({ dtype }) => !DTYPES.includes(dtype));
    if (alien) {
      throw new StruPruneError(
        'ERR_UNSUPPORTED',
        `safetensors has no dtype ${alien.dtype}, which ${alien.name} is to have`,
        'choose f32, f16 or bf16, or write a GGUF file',
      );
    }
    const { maxShardBytes, copied = [] } = options;
    const shards = shardsOf([...copied, ...placed.map(statedAs)], maxShardBytes);
    const writer = new SafetensorsWriter(folder, shards, options);
    await orAbort(writer, () => writer.openNext());
    return writer;
  }

  /**
   * Appends bytes of the tensor whose turn it is; a tensor may come in several chunks.
   * @throws StruPruneError ERR_OUTPUT; ERR_INTERNAL when it is not that tensor's turn
   */
  append(name: string, bytes: Uint8Array): Promise<void> {
    return orAbort(this, async () => {
      const { index } = this.sequence.take(name, bytes.byteLength);
      while (index >= this.end) await this.openNext();
      await this.files.at(-1)!.write(bytes);
    });
  }

  /** Puts all files in place and returns their names, the index last. */
  close(): Promise<string[]> {
    return orAbort(this, async () => {
      this.sequence.requireEnd();
      while (this.files.length < this.shards.length) await this.openNext();
      await this.files.at(-1)?.finish();
      const names = this.shards.map(({ name }) => name);
      if (this.shards.length > 1) {
        const name = 'model.safetensors.index.json';
        const index = await AtomicFile.create(join(this.folder, name), this.options);
        this.files.push(index);
        await index.write(Buffer.from(indexOf(this.shards)));
        names.push(name);
      }
      for (const file of this.files) await file.commit();
      return names;
    });
  }

  /** Removes what was written so far. */
  async abort(): Promise<void> {
    for (const file of this.files) await file.abort();
  }

  private async openNext(): Promise<void> {
    await this.files.at(-1)?.finish();
    const { name, tensors } = this.shards[this.files.length]!;
    const file = await AtomicFile.create(join(this.folder, name), this.options);
    this.files.push(file);
    this.end += tensors.length;
    await file.write(headerOf(tensors, this.options.metadata ?? DEFAULT_METADATA));
  }
}

/** Size of the files that such a writer makes, the index of several not counted. */
export function safetensorsBytes(
  tensors: OutputTensor[],
  maxShardBytes?: number,
  copied: readonly CopiedTensor[] = [],
): number {
  return shardsOf([...copied, ...placeTensors(tensors).map(statedAs)], maxShardBytes)
    .map(({ tensors }) =>
      tensors.reduce(
        (sum, { bytes }) => sum + bytes,
        headerOf(tensors, DEFAULT_METADATA).byteLength,
      ),
    )
    .reduce((sum, bytes) => sum + bytes, 0);
}

function shardsOf(tensors: Stated[], maxBytes = DEFAULT_SHARD_BYTES): Shard[] {
  const groups: Stated[][] = [[]];
  let filled = 0;
  for (const tensor of tensors) {
    if (filled > 0 && filled + tensor.bytes > maxBytes) {
      groups.push([]);
      filled = 0;
    }
    groups.at(-1)!.push(tensor);
    filled += tensor.bytes;
  }
  if (groups.length === 1) return [{ name: 'model.safetensors', tensors }];
  const number = (value: number) => String(value).padStart(5, '0');
  return groups.map((group, index) => ({
    name: `model-${number(index + 1)}-of-${number(groups.length)}.safetensors`,
    tensors: group,
  }));
}

/** Length and JSON; spaces bring the data to a multiple of 8 bytes. */
function headerOf(tensors: Stated[], metadata: Record<string, string>): Buffer {
  let offset = 0;
  const entries = tensors.map(({ name, dtype, shape, bytes }) => {
    const range = [offset, offset + bytes];
    offset += bytes;
    return [name, { dtype, shape, data_offsets: range }];
  });
  const json = JSON.stringify({ __metadata__: metadata, ...Object.fromEntries(entries) });
  const text = Buffer.from(json);
  const padded = Math.ceil(text.length / 8) * 8;
  const header = Buffer.alloc(8 + padded, ' ');
  header.writeBigUInt64LE(BigInt(padded));
  text.copy(header, 8);
  return header;
}

/** MXFP4 is bytes to readers: 16 for every 32 values, and their powers of two. */
function statedAs({ name, dtype, shape, bytes }: PlacedTensor): Stated {
  if (dtype === 'F8_E8M0') return { name, dtype: 'U8', shape, bytes };
  if (dtype !== 'F4_E2M1') return { name, dtype, shape, bytes };
  return {
    name,
    bytes,
    dtype: 'U8',
    shape: [...shape.slice(0, -1), shape.at(-1)! / MXFP4_BLOCK, MXFP4_BLOCK / 2],
  };
}

/** The index as transformers writes it: names sorted. */
function indexOf(shards: Shard[]): string {
  const all = shards.flatMap(({ name, tensors }) => tensors.map((tensor) => ({ tensor, name })));
  const files = all.map(({ tensor, name }) => [tensor.name, name] as const);
  files.sort(([a], [b]) => (a < b ? -1 : 1));
  const total = all.reduce((sum, { tensor }) => sum + tensor.bytes, 0);
  const index = { metadata: { total_size: total }, weight_map: Object.fromEntries(files) };
  return `${JSON.stringify(index, null, 2)}\n`;
}
