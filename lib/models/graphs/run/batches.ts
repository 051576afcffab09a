/** What a part of a graph reads, batch after batch of the samples. */
import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { create } from '@bufbuild/protobuf';
import { StruPruneError } from '../../../errors';
import type { Dim } from '../dims';
import { type ValueInfoProto, ValueInfoProtoSchema } from '../onnx/onnx_pb';
import { KINDS, type Kind } from './elements';
import type { Activation, Activations, Runtime } from './runtime';

export interface Batches {
  /** How there are inputs of a graph. */
  readonly inputs: readonly ValueInfoProto[];
  readonly batches: number;
  /** Those of at most `limit` batches, one after the other. */
  read(limit?: number): Iterable<Activations>;
}

/** A value as a graph states it. */
export function infoOf(name: string, elemType: number, dims: readonly Dim[]): ValueInfoProto {
  const dim = dims.map((size) =>
    typeof size === 'number'
      ? { value: { case: 'dimValue' as const, value: BigInt(size) } }
      : { value: { case: 'dimParam' as const, value: size } },
  );
  const type = { value: { case: 'tensorType' as const, value: { elemType, shape: { dim } } } };
  return create(ValueInfoProtoSchema, { name, type });
}

interface Stored {
  name: string;
  kind: Kind;
  dataType: number;
  dims: readonly number[];
  offset: number;
  bytes: number;
}

/** In a file that is removed with it: memory has room for one batch. */
export class StoredBatches implements Batches, Disposable {
  private readonly descriptor: number;
  private readonly stored: Stored[][] = [];
  private end = 0;

  constructor(
    private readonly path: string,
    private readonly runtime: Runtime,
  ) {
    this.descriptor = openSync(path, 'w+');
  }

  get batches(): number {
    return this.stored.length;
  }

  /** Sizes that differ from batch to batch are symbols. */
  get inputs(): ValueInfoProto[] {
    const [first = []] = this.stored;
    return first.map(({ name, dataType, dims }, i) => {
      const isFixed = (size: number, axis: number) =>
        this.stored.every((batch) => batch[i]!.dims[axis] === size);
      const stated = dims.map((size, axis) => (isFixed(size, axis) ? size : `${name} ${axis}`));
      return infoOf(name, dataType, stated);
    });
  }

  /** @throws StruPruneError ERR_UNSUPPORTED for a type that cannot be stored */
  put(values: Activations): void {
    this.stored.push(Object.entries(values).map(([name, value]) => this.store(name, value)));
  }

  *read(limit = this.batches): Generator<Activations> {
    for (const batch of this.stored.slice(0, limit)) {
      const values = batch.map(({ name, kind, dims, offset, bytes }) => {
        const data = new Uint8Array(bytes);
        for (let done = 0; done < bytes; ) {
          done += readSync(this.descriptor, data, done, bytes - done, offset + done);
        }
        return [name, this.runtime.tensor(kind.type, kind.of(data), dims)];
      });
      yield Object.fromEntries(values);
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.descriptor);
    rmSync(this.path, { force: true });
  }

  private store(name: string, { type, data, dims }: Activation): Stored {
    const known = Object.entries(KINDS).find(([, kind]) => kind.type === type);
    if (!known) {
      throw new StruPruneError('ERR_UNSUPPORTED', `${name} is ${type}, which cannot be stored`);
    }
    const [dataType, kind] = known;
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const offset = this.end;
    for (let done = 0; done < bytes.length; ) {
      done += writeSync(this.descriptor, bytes, done, bytes.length - done, offset + done);
    }
    this.end += bytes.length;
    return { name, kind, dataType: Number(dataType), dims, offset, bytes: bytes.length };
  }
}
