import { storageBytes } from '../../checkpoint/container';
import type { PlannedTensor } from '../../checkpoint/export';
import type { Block } from '../../engine/block';
import { native } from '../../engine/native';
import type { Session } from '../../engine/session';
import type { ModelRole } from '../../model/architecture';
import { type BlockRole, isNorm } from '../../model/sublayers';

/** Bytes of rows, as floats, that are encoded at a time. */
export const ENCODE_BYTES = 4 * 2 ** 20;

/** A tensor of a loaded block as the output will hold it, in chunks, each gone when the next is asked for. */
export async function* encodeBlockTensor(
  session: Session,
  tensor: PlannedTensor,
  block: Block,
): AsyncGenerator<Uint8Array, void> {
  const role = tensor.role as BlockRole;
  if (tensor.fill === 'zeros' || block.shape(role) === null) {
    yield zeros(tensor);
    return;
  }
  const { dtype, ropeHeads = 0 } = tensor;
  yield* byRows(session, tensor, (row, count) => block.encode(role, dtype, row, count, ropeHeads));
}

/** The same for a tensor outside the blocks. */
export async function* encodeOutsideTensor(
  session: Session,
  tensor: PlannedTensor,
): AsyncGenerator<Uint8Array, void> {
  if (tensor.fill === 'zeros') {
    yield zeros(tensor);
    return;
  }
  if (tensor.values) {
    const { buffer, byteOffset, byteLength } = tensor.values;
    yield new Uint8Array(buffer, byteOffset, byteLength);
    return;
  }
  const { source } = session;
  const ref = source.model[tensor.role as ModelRole] ?? source.model.embedding!;
  if (ref.shape.length === 1) {
    const less = isNorm(tensor.role) ? session.stored.normOffset : 0;
    const asStored = { ...ref, plus: (ref.plus ?? 0) - less };
    yield await session.encodeTensor(asStored, tensor.dtype, 0, 1);
    return;
  }
  yield* byRows(session, tensor, (row, count) =>
    session.encodeTensor(ref, tensor.dtype, row, count),
  );
}

async function* byRows(
  session: Session,
  { shape }: PlannedTensor,
  encode: (row: number, count: number) => Promise<Uint8Array>,
): AsyncGenerator<Uint8Array, void> {
  const rows = shape[0]!;
  const step = Math.max(1, Math.floor(ENCODE_BYTES / (4 * (shape[1] ?? 1))));
  for (let row = 0; row < rows; row += step) {
    session.engine.throwIfAborted();
    const bytes = await encode(row, Math.min(step, rows - row));
    yield bytes;
    native.dropBytes(bytes);
  }
}

function zeros({ dtype, shape }: PlannedTensor): Uint8Array {
  return new Uint8Array(storageBytes(dtype, shape));
}
