/**
 * Sessions that trials share. Behind the block of the site that is tried out the graph is the same for every trial, so it is
 * opened once, and not once a site (docs/decisions/0032).
 */
import { toBinary } from '@bufbuild/protobuf';
import type { OnnxFile } from '../onnx/file';
import { type TensorProto, ValueInfoProtoSchema } from '../onnx/onnx_pb';
import type { Activations, Part, Runtime, Session } from './runtime';

/** A session, or one that stays open when this is disposed of. */
export interface Lent extends AsyncDisposable {
  run(feeds: Activations): Promise<Activations>;
}

/** What a trial changes of the graph, and the sessions that it shares with other trials of the same graph. */
export interface Trial {
  changed: readonly TensorProto[];
  blocks: Blocks;
}

export class Blocks implements AsyncDisposable {
  private readonly kept = new Map<string, Session>();

  /** `keeps`: false: every session is opened anew, which takes less memory. */
  constructor(
    private readonly file: OnnxFile,
    private readonly runtime: Runtime,
    private readonly keeps: boolean,
  ) {}

  /** A part of the graph; one that reads what a trial has changed is its own. */
  async lend(part: Part, changed: readonly TensorProto[]): Promise<Lent> {
    const key = keyOf(part);
    const known = this.kept.get(key);
    if (known && !readsAny(known, changed)) return staying(known);
    const opened = await this.runtime.part(this.file, part);
    if (!this.keeps || known || readsAny(opened, changed)) return opened;
    this.kept.set(key, opened);
    return staying(opened);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of this.kept.values()) await session[Symbol.asyncDispose]();
  }
}

function readsAny({ tensors }: Session, changed: readonly TensorProto[]): boolean {
  return changed.some((tensor) => tensors.has(tensor));
}

function staying(session: Session): Lent {
  return { run: (feeds) => session.run(feeds), [Symbol.asyncDispose]: async () => {} };
}

/** Inputs with their shapes, and outputs: what lies between them is the same nodes. */
function keyOf({ inputs, outputs }: Part): string {
  const shapes = inputs.map((info) => Buffer.from(toBinary(ValueInfoProtoSchema, info)));
  return [...shapes.map((bytes) => bytes.toString('base64')), ...outputs].join(' ');
}
