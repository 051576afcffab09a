import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AtomicFolder, orAbort } from '../checkpoint/atomic';
import { type GgufEntry, storageBytes } from '../checkpoint/container';
import type { ExportPlan, PlannedTensor } from '../checkpoint/export';
import { GgufWriter } from '../checkpoint/gguf-writer';
import { asOutput } from '../checkpoint/output-error';
import { SafetensorsWriter } from '../checkpoint/safetensors-writer';
import { type BlockHandle, native } from '../engine/native';
import type { Session } from '../engine/session';
import { StruPruneError } from '../errors';
import type { BlockRole, ModelRole } from '../model/architecture';
import type { TokenizerOutput } from './tokenizer-output';

/** Bytes that cross from the native side at a time. */
const CHUNK_BYTES = 4 * 2 ** 20;

/** The two containers alike. `finish` ends the weights and says where they can be opened, `commit` shows them. */
interface Sink {
  append(name: string, bytes: Uint8Array): Promise<void>;
  finish(): Promise<string>;
  commit(extra: TokenizerOutput['files']): Promise<void>;
  abort(): Promise<void>;
}

async function ggufSink(plan: ExportPlan, target: string, options: WriterOptions): Promise<Sink> {
  const metadata = { ...plan.metadata, ...options.tokenizer.metadata, ...options.provenance };
  const { replace } = options;
  const writer = await GgufWriter.create(target, plan.tensors, metadata, { replace });
  return {
    append: (name, bytes) => writer.append(name, bytes),
    finish: () => writer.finish(),
    commit: () => writer.close(),
    abort: () => writer.abort(),
  };
}

async function folderSink(
  plan: ExportPlan,
  target: string,
  { replace, tokenizer, maxShardBytes }: WriterOptions,
): Promise<Sink> {
  const folder = await AtomicFolder.create(target, { replace });
  const put = async (files: TokenizerOutput['files']) => {
    for (const { name, text } of files) {
      await asOutput(target, () => writeFile(join(folder.path, name), text));
    }
  };
  return orAbort(folder, async () => {
    const config = `${JSON.stringify(plan.config, null, 2)}\n`;
    await put([...plan.files, ...tokenizer.files, { name: 'config.json', text: config }]);
    const writer = await SafetensorsWriter.create(folder.path, plan.tensors, { maxShardBytes });
    return {
      append: (name, bytes) => writer.append(name, bytes),
      finish: () => writer.close().then(() => folder.path),
      commit: (extra) =>
        orAbort(folder, async () => {
          await put(extra);
          await folder.commit();
        }),
      abort: async () => {
        await writer.abort();
        await folder.abort();
      },
    };
  });
}

export interface WriterOptions {
  replace: boolean;
  maxShardBytes?: number;
  tokenizer: TokenizerOutput;
  /** gguf: where the file comes from, as metadata. */
  provenance: Record<string, GgufEntry>;
}

/**
 * Writes a planned checkpoint as its blocks get ready, in the order of the plan: what stands outside the
 * blocks goes in by itself. Nothing is at the target before commit().
 */
export class CheckpointWriter {
  readonly #session: Session;
  readonly #plan: ExportPlan;
  readonly #sink: Sink;
  #next = 0;

  private constructor(session: Session, plan: ExportPlan, sink: Sink) {
    this.#session = session;
    this.#plan = plan;
    this.#sink = sink;
  }

  static async create(
    session: Session,
    plan: ExportPlan,
    target: string,
    options: WriterOptions,
  ): Promise<CheckpointWriter> {
    const open = plan.format === 'gguf' ? ggufSink : folderSink;
    return new CheckpointWriter(session, plan, await open(plan, target, options));
  }

  /** Appends all tensors of a finished block, and those outside the blocks that come before it. */
  async writeBlock(index: number, block: BlockHandle): Promise<void> {
    await this.#writeOutside();
    const { tensors } = this.#plan;
    while (tensors[this.#next]?.block === index) {
      await this.#writeBlockTensor(tensors[this.#next++]!, block);
    }
  }

  /** Appends the rest and returns the path under which the checkpoint can be opened before it is shown. */
  async finish(): Promise<string> {
    await this.#writeOutside();
    if (this.#next !== this.#plan.tensors.length) {
      const { block } = this.#plan.tensors[this.#next]!;
      throw new StruPruneError('ERR_INTERNAL', `block ${block} was not written`);
    }
    return this.#sink.finish();
  }

  /** Adds files (hf only) and puts everything in its place. */
  commit(extra: TokenizerOutput['files']): Promise<void> {
    return this.#sink.commit(extra);
  }

  abort(): Promise<void> {
    return this.#sink.abort();
  }

  async #writeOutside(): Promise<void> {
    const { tensors } = this.#plan;
    while (tensors[this.#next]?.block === null)
      await this.#writeOutsideTensor(tensors[this.#next++]!);
  }

  async #writeBlockTensor(tensor: PlannedTensor, block: BlockHandle): Promise<void> {
    const role = tensor.role as BlockRole;
    if (tensor.fill === 'zeros' || native.blockShape(block, role) === null) {
      await this.#writeZeros(tensor);
      return;
    }
    await this.#writeRows(tensor, (row, count) =>
      native.encodeBlock(
        this.#session.engine.handle,
        block,
        role,
        tensor.dtype,
        row,
        count,
        tensor.ropeHeads ?? 0,
      ),
    );
  }

  async #writeOutsideTensor(tensor: PlannedTensor): Promise<void> {
    if (tensor.fill === 'zeros') return this.#writeZeros(tensor);
    if (tensor.values) {
      const { buffer, byteOffset, byteLength } = tensor.values;
      return this.#sink.append(tensor.name, new Uint8Array(buffer, byteOffset, byteLength));
    }
    const { source, files, engine } = this.#session;
    const ref = source.model[tensor.role as ModelRole] ?? source.model.embedding!;
    if (ref.shape.length === 1) {
      return this.#sink.append(
        tensor.name,
        await native.encodeTensor(engine.handle, ref, files, tensor.dtype, 0, 1),
      );
    }
    await this.#writeRows(tensor, (row, count) =>
      native.encodeTensor(engine.handle, ref, files, tensor.dtype, row, count),
    );
  }

  async #writeRows(
    tensor: PlannedTensor,
    encode: (row: number, count: number) => Promise<Uint8Array>,
  ): Promise<void> {
    const rows = tensor.shape[0]!;
    const rowBytes = 4 * (tensor.shape[1] ?? 1);
    const step = Math.max(1, Math.floor(CHUNK_BYTES / rowBytes));
    for (let row = 0; row < rows; row += step) {
      this.#session.engine.throwIfAborted();
      await this.#sink.append(tensor.name, await encode(row, Math.min(step, rows - row)));
    }
  }

  async #writeZeros(tensor: PlannedTensor): Promise<void> {
    await this.#sink.append(tensor.name, new Uint8Array(storageBytes(tensor.dtype, tensor.shape)));
  }
}
