/**
 * An ONNX file, read and written. Data of tensors stay in the file: where a tensor holds more than a few kilobytes, its
 * message names a payload instead, a source of bytes, which goes into its place again when the model is written.
 */
import { createHash } from 'node:crypto';
import { basename, dirname, isAbsolute, join, normalize } from 'node:path';
import {
  clearField,
  create,
  type DescMessage,
  fromBinary,
  isFieldSet,
  toBinary,
} from '@bufbuild/protobuf';

import { AtomicFile, type AtomicOptions, orAbort } from '../../../checkpoint/atomic';
import { pieces } from '../../../checkpoint/pieces';
import { StruPruneError } from '../../../errors';
import {
  type GraphProto,
  type ModelProto,
  ModelProtoSchema,
  StringStringEntryProtoSchema,
  type TensorProto,
  TensorProtoSchema,
} from './onnx_pb';
import { FileSource, MemorySource, piecesOf, Range, type Source } from './source';
import { DATA_FIELDS, inlineData, RAW_DATA, rawOf, requireLength } from './tensor';
import {
  delimited,
  joined,
  LENGTH,
  malformed,
  type Pieces,
  type Replace,
  rewrite,
  type WireField,
} from './wire';

/** Longest data that stay in their message. */
const INLINE = 4096;
/** Longest model without its data: a graph of 100 layers takes some megabytes. */
const LONGEST_SKELETON = 1 << 26;
const EXTERNAL = 1;
/** Where data begin in a file of external data. */
const ALIGNMENT = 64;

interface Payload {
  /** The field of TensorProto that the bytes are the value of. */
  field: number;
  source: Source;
}

export class OnnxFile implements Disposable {
  private readonly files = new Map<string, FileSource>();
  /** Data of the tensors that lie beside the model. */
  private readonly externals = new Map<TensorProto, Source>();

  private constructor(
    readonly model: ModelProto,
    private readonly file: FileSource,
    private readonly payloads: Payload[],
  ) {}

  /**
   * @throws StruPruneError ERR_NOT_FOUND, ERR_ARGUMENT; ERR_CHECKPOINT for a file that is not an ONNX model, and for external
   *   data that are not there
   */
  static open(path: string): OnnxFile {
    const file = new FileSource(path);
    let onnx: OnnxFile | undefined;
    try {
      return naming(path, () => {
        const payloads: Payload[] = [];
        const skeleton = rewrite(ModelProtoSchema, file, cutInto(payloads));
        onnx = new OnnxFile(parse(skeleton), file, payloads);
        onnx.findExternals();
        return onnx;
      });
    } catch (error) {
      if (onnx) onnx.close();
      else file.close();
      throw error;
    }
  }

  get path(): string {
    return this.file.path;
  }

  close(): void {
    this.file.close();
    for (const file of this.files.values()) file.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Bytes of the model and of its external data. */
  get bytes(): number {
    return [this.file, ...this.files.values()].reduce((sum, { length }) => sum + length, 0);
  }

  get hasExternalData(): boolean {
    return this.externals.size > 0;
  }

  /** SHA-256 of all of them. */
  async hash(signal?: AbortSignal): Promise<string> {
    const hash = createHash('sha256');
    for (const { path } of [this.file, ...this.files.values()]) {
      for await (const piece of pieces(path, { signal })) hash.update(piece);
    }
    return hash.digest('hex');
  }

  /**
   * The tensor's elements, row-major and little-endian.
   * @throws StruPruneError ERR_CHECKPOINT where they are fewer or more than the shape needs
   */
  data(tensor: TensorProto): Source {
    return requireLength(tensor, this.externals.get(tensor) ?? this.ownData(tensor));
  }

  /** Gives the tensor another shape and other elements, laid out as `data` has them. */
  replace(tensor: TensorProto, dims: number[], data: Source): void {
    for (const field of TensorProtoSchema.fields) {
      if (DATA_FIELDS.has(field.number)) clearField(tensor, field);
    }
    tensor.dims = dims.map(BigInt);
    const payload = { field: RAW_DATA, source: data };
    if (this.externals.has(tensor)) this.externals.set(tensor, data);
    else if (isFieldSet(tensor, PAYLOAD)) this.payloads[tensor.payload] = payload;
    else tensor.payload = this.payloads.push(payload) - 1;
  }

  /**
   * Writes the model: the whole file, or nothing. External data go into one file beside it (`dataPath`).
   * @throws StruPruneError ERR_OUTPUT
   */
  async write(path: string, options: AtomicOptions = {}): Promise<void> {
    // Of those that the graph has still.
    const external = tensorsOf(this.model.graph).filter((tensor) => this.externals.has(tensor));
    const data =
      external.length > 0 ? await this.writeExternals(external, path, options) : undefined;
    try {
      const skeleton = new MemorySource(new Uint8Array(toBinary(ModelProtoSchema, this.model)));
      const { parts } = rewrite(ModelProtoSchema, skeleton, (...at) => this.fill(...at));
      const model = await AtomicFile.create(path, options);
      await orAbort(model, async () => {
        for (const part of parts) await append(model, part);
        await model.finish();
        await data?.commit();
        await model.commit();
      });
    } catch (error) {
      await data?.abort();
      throw error;
    }
  }

  private ownData(tensor: TensorProto): Source {
    if (!isFieldSet(tensor, PAYLOAD)) return inlineData(tensor);
    const { field, source } = this.payloads[tensor.payload]!;
    return rawOf(field, tensor, source);
  }

  private findExternals(): void {
    for (const tensor of tensorsOf(this.model.graph)) {
      if (tensor.dataLocation === EXTERNAL) this.externals.set(tensor, this.external(tensor));
    }
  }

  private external(tensor: TensorProto): Source {
    const entries = new Map(tensor.externalData.map(({ key, value }) => [key, value]));
    const file = this.externalFile(tensor.name, entries.get('location') ?? '');
    const offset = Number(entries.get('offset') ?? 0);
    const length = Number(entries.get('length') ?? file.length - offset);
    const inside = [offset, length].every((n) => Number.isSafeInteger(n) && n >= 0);
    if (inside && offset + length <= file.length) return new Range(file, offset, length);
    throw malformed(`the data of tensor ${tensor.name} lie outside of ${file.path}`);
  }

  /** Only files in the model's own folder, as the format has it. */
  private externalFile(name: string, location: string): FileSource {
    const inside = normalize(location);
    if (location === '' || isAbsolute(inside) || inside.startsWith('..')) {
      throw malformed(`the data of tensor ${name} lie outside of the model's folder`);
    }
    const known = this.files.get(inside);
    if (known) return known;
    const file = new FileSource(join(dirname(this.file.path), inside));
    this.files.set(inside, file);
    return file;
  }

  /** Writes external data one after the other; the tensors' messages name the new places. */
  private async writeExternals(
    external: readonly TensorProto[],
    model: string,
    options: AtomicOptions,
  ): Promise<AtomicFile> {
    const path = dataPath(model);
    const file = await AtomicFile.create(path, options);
    await orAbort(file, async () => {
      let end = 0;
      for (const tensor of external) {
        const data = this.externals.get(tensor)!;
        const offset = Math.ceil(end / ALIGNMENT) * ALIGNMENT;
        await file.write(new Uint8Array(offset - end));
        await append(file, data);
        const place = { location: basename(path), offset, length: data.length };
        tensor.externalData = Object.entries(place).map(([key, value]) =>
          create(StringStringEntryProtoSchema, { key, value: String(value) }),
        );
        end = offset + data.length;
      }
      await file.finish();
    });
    return file;
  }

  /** The payload in the place of its number. */
  private fill(owner: DescMessage, field: WireField, source: Source): Pieces | undefined {
    if (owner !== TensorProtoSchema || field.number !== PAYLOAD.number) return undefined;
    const bytes = source.read(field.start, field.end - field.start);
    const payload = this.payloads[fromBinary(TensorProtoSchema, bytes).payload]!;
    const { length } = payload.source;
    return delimited(payload.field, { length, parts: [payload.source] });
  }
}

/** Where the external data of a model lie that this program writes: where browsers look for them. */
export function dataPath(model: string): string {
  return `${model}_data`;
}

/** Runs `work`, whose errors about a file's contents then name it. */
export function naming<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof StruPruneError) || error.code !== 'ERR_CHECKPOINT') throw error;
    const found = `${path} is not a well-formed ONNX file: ${error.found}`;
    throw new StruPruneError(error.code, found, error.mend, { cause: error });
  }
}

const PAYLOAD = TensorProtoSchema.field.payload;

/** Takes long data out of their messages. */
function cutInto(payloads: Payload[]): Replace {
  return (owner, field, source) => {
    if (owner !== TensorProtoSchema) return undefined;
    if (field.number === PAYLOAD.number) throw malformed(`a tensor with field ${PAYLOAD.number}`);
    const length = field.end - field.value;
    if (!DATA_FIELDS.has(field.number) || field.wire !== LENGTH || length <= INLINE)
      return undefined;
    const range = new Range(source, field.value, length);
    const payload = payloads.push({ field: field.number, source: range }) - 1;
    const bytes = toBinary(TensorProtoSchema, create(TensorProtoSchema, { payload }));
    return { length: bytes.length, parts: [new MemorySource(new Uint8Array(bytes))] };
  };
}

function parse(skeleton: Pieces): ModelProto {
  if (skeleton.length > LONGEST_SKELETON) {
    throw malformed(`${skeleton.length} bytes without the tensors' data`);
  }
  let model: ModelProto;
  try {
    model = fromBinary(ModelProtoSchema, joined(skeleton));
  } catch (error) {
    throw malformed((error as Error).message);
  }
  if (model.graph) return model;
  throw malformed('there is no graph in it');
}

/** Every tensor of a graph: initialisers, and what nodes have for attributes. */
export function tensorsOf(graph: GraphProto | undefined): TensorProto[] {
  if (!graph) return [];
  const attributes = graph.node.flatMap((node) => node.attribute);
  const own = attributes.flatMap(({ t }) => t ?? []);
  const inner = attributes.flatMap(({ g, graphs }) => (g ? [g, ...graphs] : graphs));
  return [...graph.initializer, ...own, ...inner.flatMap(tensorsOf)];
}

async function append(file: AtomicFile, source: Source): Promise<void> {
  for (const piece of piecesOf(source)) await file.write(piece);
}
