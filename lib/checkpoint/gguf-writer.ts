import { StruPruneError } from '../errors';
import type { Dtype } from '../model/architecture';
import { AtomicFile, type AtomicOptions, orAbort } from './atomic';
import type { GgufEntry } from './container';
import { GgufBytes, paddingOf } from './gguf-bytes';
import { AS_FOLDER } from './output-path';
import {
  type OutputTensor,
  type PlacedTensor,
  placeTensors,
  TensorSequence,
} from './tensor-sequence';

const MAGIC = 0x46554747; // "GGUF"
const VERSION = 3;
const ALIGNMENT_KEY = 'general.alignment';
const DEFAULT_ALIGNMENT = 32;
/** As native/formats/gguf.h. */
const MAX_ALIGNMENT = 2 ** 20;

/** ggml's limits: a name and its final zero in 64 bytes, four dimensions. */
const MAX_NAME_BYTES = 63;
const MAX_DIMENSIONS = 4;

/** ggml's numbers; FP8 is none of its types. */
const TYPE_IDS: Partial<Record<Dtype, number>> = {
  F32: 0,
  F16: 1,
  Q4_0: 2,
  Q4_1: 3,
  Q5_0: 6,
  Q5_1: 7,
  Q8_0: 8,
  Q4_K: 12,
  Q5_K: 13,
  Q6_K: 14,
  MXFP4: 39,
  BF16: 30,
};

/**
 * Writes a GGUF file, version 3. The data are aligned to `general.alignment` where the metadata have it,
 * else to 32. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
export class GgufWriter {
  private constructor(
    private readonly file: AtomicFile,
    private readonly tensors: PlacedTensor[],
    private readonly alignment: number,
    private readonly sequence: TensorSequence,
  ) {}

  /**
   * @param metadata in file order
   * @throws StruPruneError ERR_OUTPUT; ERR_UNSUPPORTED for what the format or ggml cannot hold
   */
  static async create(
    path: string,
    tensors: OutputTensor[],
    metadata: Record<string, GgufEntry>,
    options: AtomicOptions = {},
  ): Promise<GgufWriter> {
    const placed = placeTensors(tensors);
    placed.forEach(requireHeld);
    const alignment = alignmentOf(metadata);
    const header = headerOf(placed, metadata, alignment);
    const file = await AtomicFile.create(path, options);
    const writer = new GgufWriter(file, placed, alignment, new TensorSequence(placed));
    await orAbort(writer, () => file.write(header));
    return writer;
  }

  /**
   * Appends bytes of the tensor whose turn it is; a tensor may come in several chunks.
   * @throws StruPruneError ERR_OUTPUT; ERR_INTERNAL when it is not that tensor's turn
   */
  append(name: string, bytes: Uint8Array): Promise<void> {
    return orAbort(this, async () => {
      const { index, complete } = this.sequence.take(name, bytes.byteLength);
      await this.file.write(bytes);
      const padding = complete ? paddingOf(this.tensors[index]!.bytes, this.alignment) : 0;
      if (padding > 0) await this.file.write(new Uint8Array(padding));
    });
  }

  /** Ends the file, still under its temporary name, and returns that path; only close and abort may follow. */
  finish(): Promise<string> {
    return orAbort(this, async () => {
      this.sequence.requireEnd();
      await this.file.finish();
      return this.file.temporary;
    });
  }

  /** Puts the file in its place. */
  close(): Promise<void> {
    return orAbort(this, async () => {
      this.sequence.requireEnd();
      await this.file.commit();
    });
  }

  /** Removes what was written so far. */
  abort(): Promise<void> {
    return this.file.abort();
  }
}

/** Size of the file that such a writer makes. */
export function ggufBytes(tensors: OutputTensor[], metadata: Record<string, GgufEntry>): number {
  const placed = placeTensors(tensors);
  const alignment = alignmentOf(metadata);
  const data = placed.reduce((sum, { bytes }) => sum + bytes + paddingOf(bytes, alignment), 0);
  return headerOf(placed, metadata, alignment).length + data;
}

function requireHeld({ name, dtype, shape }: PlacedTensor): void {
  if (TYPE_IDS[dtype] === undefined) {
    const what = `GGUF has no type ${dtype}, which ${name} is to have`;
    throw new StruPruneError('ERR_UNSUPPORTED', what, 'choose bf16');
  }
  if (Buffer.byteLength(name) <= MAX_NAME_BYTES && shape.length <= MAX_DIMENSIONS) return;
  throw new StruPruneError(
    'ERR_UNSUPPORTED',
    `GGUF cannot hold ${name} [${shape.join(', ')}]: names have at most ${MAX_NAME_BYTES} bytes, shapes ${MAX_DIMENSIONS} dimensions`,
    AS_FOLDER,
  );
}

function alignmentOf(metadata: Record<string, GgufEntry>): number {
  const { type, value } = metadata[ALIGNMENT_KEY] ?? { type: 'uint32', value: DEFAULT_ALIGNMENT };
  const isSize = type === 'uint32' && typeof value === 'number';
  if (isSize && value <= MAX_ALIGNMENT && Number.isInteger(Math.log2(value))) return value;
  const limits = `a uint32 and a power of two up to ${MAX_ALIGNMENT}`;
  throw new StruPruneError('ERR_INTERNAL', `${ALIGNMENT_KEY} ${value} is not ${limits}`);
}

function headerOf(
  tensors: PlacedTensor[],
  metadata: Record<string, GgufEntry>,
  alignment: number,
): Buffer {
  const out = new GgufBytes();
  const entries = Object.entries(metadata);
  out.uint32(MAGIC);
  out.uint32(VERSION);
  out.uint64(tensors.length);
  out.uint64(entries.length);
  for (const [key, { type, value }] of entries) {
    out.string(key);
    out.typed(type, value);
  }
  let offset = 0;
  for (const { name, dtype, shape, bytes } of tensors) {
    out.string(name);
    out.uint32(shape.length);
    for (const width of shape.toReversed()) out.uint64(width); // fastest first
    out.uint32(TYPE_IDS[dtype]!);
    out.uint64(offset);
    offset += bytes + paddingOf(bytes, alignment);
  }
  out.padTo(alignment);
  return out.bytes();
}
