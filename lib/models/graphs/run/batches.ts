/** What a part of a graph reads, batch after batch of the samples. */
import { closeSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { create } from '@bufbuild/protobuf';
import { outputError } from '../../../checkpoint/output-error';
import { StruPruneError } from '../../../errors';
import type { Dim } from '../dims';
import { type ValueInfoProto, ValueInfoProtoSchema } from '../onnx/onnx_pb';
import { FileSource } from '../onnx/source';
import { KINDS, type Kind } from './elements';
import type { Activation, Activations, Runtime } from './runtime';

export interface Batches {
  /** As inputs of a graph. */
  readonly inputs: readonly ValueInfoProto[];
  /** Batch after batch. */
  read(some?: Some): Iterable<Activations>;
}

/** Batches of all: `[from, end)`, or as many of those as there are. */
export interface Some {
  from: number;
  end: number;
}

export const ALL: Some = { from: 0, end: Number.POSITIVE_INFINITY };

/** TensorProto.DataType of an input; 0 where it is no tensor. */
export function elementTypeOf({ type }: ValueInfoProto): number {
  return type?.value.case === 'tensorType' ? type.value.value.elemType : 0;
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
  private readonly source: FileSource;
  private readonly stored: Stored[][] = [];
  private end = 0;

  constructor(
    private readonly path: string,
    private readonly runtime: Runtime,
  ) {
    try {
      this.descriptor = openSync(path, 'w');
    } catch (error) {
      throw outputError(path, error);
    }
    this.source = new FileSource(path);
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

  /** @throws StruPruneError ERR_OUTPUT, ERR_UNSUPPORTED for a type that cannot be stored */
  put(values: Activations): void {
    this.stored.push(Object.entries(values).map(([name, value]) => this.store(name, value)));
  }

  *read({ from, end } = ALL): Generator<Activations> {
    for (const batch of this.stored.slice(from, end)) {
      const values = batch.map(({ name, kind, dims, offset, bytes }) => {
        const data = kind.of(this.source.read(offset, bytes));
        return [name, this.runtime.tensor(kind.type, data, dims)];
      });
      yield Object.fromEntries(values);
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.descriptor);
    this.source.close();
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
    try {
      // Behind what was written before.
      writeFileSync(this.descriptor, bytes);
    } catch (error) {
      throw outputError(this.path, error);
    }
    this.end += bytes.length;
    return { name, kind, dataType: Number(dataType), dims, offset, bytes: bytes.length };
  }
}
