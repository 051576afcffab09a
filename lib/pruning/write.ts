import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AtomicFolder } from '../checkpoint/atomic';
import type { ExportPlan, PlannedTensor } from '../checkpoint/export';
import { GgufWriter } from '../checkpoint/gguf-writer';
import { SafetensorsWriter } from '../checkpoint/safetensors-writer';
import { type BlockHandle, native } from '../engine/native';
import type { Session } from '../engine/session';
import { StruPruneError } from '../errors';
import type { BlockRole, Dtype, ModelRole } from '../model/architecture';
import type { TokenizerOutput } from './tokenizer-output';

/** Bytes that cross from the native side at a time. */
const CHUNK_BYTES = 4 * 2 ** 20;

interface Sink {
  append(name: string, bytes: Uint8Array): Promise<void>;
  close(): Promise<unknown>;
  abort(): Promise<void>;
}

/**
 * Writes a planned checkpoint as its blocks get ready, in the order of the plan: what stands outside the
 * blocks goes in by itself. Nothing is at the target before finish().
 */
export class CheckpointWriter {
  readonly #session: Session;
  readonly #plan: ExportPlan;
  readonly #folder: AtomicFolder | null;
  readonly #sink: Sink;
  #next = 0;

  private constructor(session: Session, plan: ExportPlan, folder: AtomicFolder | null, sink: Sink) {
    this.#session = session;
    this.#plan = plan;
    this.#folder = folder;
    this.#sink = sink;
  }

  static async create(
    session: Session,
    plan: ExportPlan,
    target: string,
    options: {
      replace: boolean;
      maxShardBytes?: number;
      tokenizer: TokenizerOutput;
    },
  ): Promise<CheckpointWriter> {
    const { replace, tokenizer } = options;
    if (plan.format === 'gguf') {
      const sink = await GgufWriter.create(
        target,
        plan.tensors,
        { ...plan.metadata, ...tokenizer.metadata },
        { replace },
      );
      return new CheckpointWriter(session, plan, null, sink);
    }
    const folder = await AtomicFolder.create(target, { replace });
    try {
      for (const { name, text } of [...plan.files, ...tokenizer.files]) {
        await writeFile(join(folder.path, name), text);
      }
      await writeFile(join(folder.path, 'config.json'), `${JSON.stringify(plan.config, null, 2)}\n`);
      const sink = await SafetensorsWriter.create(folder.path, plan.tensors, {
        maxShardBytes: options.maxShardBytes,
      });
      return new CheckpointWriter(session, plan, folder, sink);
    } catch (error) {
      await folder.abort();
      throw error;
    }
  }

  /** Appends all tensors of a finished block, and those outside the blocks that come before it. */
  async writeBlock(index: number, block: BlockHandle): Promise<void> {
    await this.#writeOutside();
    const { tensors } = this.#plan;
    while (tensors[this.#next]?.block === index) {
      await this.#writeBlockTensor(tensors[this.#next++]!, block);
    }
  }

  /** Appends the rest, writes extra files (hf) and puts everything in its place. */
  async finish(extra: { name: string; text: string }[]): Promise<void> {
    await this.#writeOutside();
    if (this.#next !== this.#plan.tensors.length) {
      throw new StruPruneError('ERR_INTERNAL', `block ${this.#plan.tensors[this.#next]!.block} is missing`);
    }
    await this.#sink.close();
    if (!this.#folder) return;
    for (const { name, text } of extra) await writeFile(join(this.#folder.path, name), text);
    await this.#folder.commit();
  }

  async abort(): Promise<void> {
    await this.#sink.abort();
    await this.#folder?.abort();
  }

  async #writeOutside(): Promise<void> {
    const { tensors } = this.#plan;
    while (tensors[this.#next]?.block === null) await this.#writeOutsideTensor(tensors[this.#next++]!);
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
    const elements = tensor.shape.reduce((product, n) => product * n, 1);
    await this.#sink.append(tensor.name, new Uint8Array(elements * elementBytes(tensor.dtype)));
  }
}

/** Bytes of one element of a float dtype, and of Q8_0 on average. */
export function elementBytes(dtype: Dtype): number {
  if (dtype === 'F32') return 4;
  return dtype === 'Q8_0' ? 34 / 32 : 2;
}
