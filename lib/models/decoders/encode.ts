import { storageBytes } from '../../checkpoint/container';
import type { PlannedPart, PlannedTensor } from '../../checkpoint/export';
import type { Block } from '../../engine/block';
import { native } from '../../engine/native';
import type { Session } from '../../engine/session';
import type { Dtype, ModelRole } from '../../model/architecture';
import { groupsOf } from '../../model/file-tensors';
import { asStored } from '../../model/stored-scaling';
import type { BlockRole } from '../../model/sublayers';

/** Bytes of rows, as floats, that are encoded at a time. */
export const ENCODE_BYTES = 4 * 2 ** 20;

/** A tensor of a loaded block as the output will hold it, in chunks, each gone when the next is asked for. */
export async function* encodeBlockTensor(
  session: Session,
  tensor: PlannedTensor,
  block: Block,
): AsyncGenerator<Uint8Array, void> {
  for (const parts of groupsOf(tensor.parts, tensor.experts)) {
    if (tensor.transposed || tensor.turns > 0) {
      yield* encodeJoined(session, tensor, parts, block);
    } else {
      for (const part of parts) yield* encodePart(session, tensor.dtype, part, block);
    }
  }
}

async function* encodePart(
  session: Session,
  dtype: Dtype,
  part: PlannedPart,
  block: Block,
): AsyncGenerator<Uint8Array, void> {
  const role = part.role as BlockRole;
  if (part.fill === 'zeros' || block.shape(role) === null) {
    yield zeros(dtype, part);
    return;
  }
  const { ropeHeads = 0, heads } = part;
  const encode = (row: number, count: number) => block.encode(role, dtype, row, count, ropeHeads);
  if (heads?.axis === 'rows') {
    const { first, each } = heads;
    const [, ...columns] = part.shape;
    yield* byRows(session, [first, ...columns], encode);
    for (const head of heads.heads) {
      const from = first + head * each;
      yield* byRows(session, [each, ...columns], (row, count) => encode(from + row, count));
    }
    return;
  }
  yield* byRows(session, part.shape, async (row, count) => {
    const bytes = await encode(row, count);
    return heads ? columnsInOrder(bytes, heads.heads, count) : bytes;
  });
}

/** Of rows whose columns are heads, each as wide as the others; in place. */
function columnsInOrder(bytes: Uint8Array, heads: readonly number[], rows: number): Uint8Array {
  const rowBytes = bytes.length / rows;
  const each = rowBytes / heads.length;
  for (let row = 0; row < rows; row++) {
    const stored = bytes.slice(row * rowBytes, (row + 1) * rowBytes);
    heads.forEach((head, to) => {
      bytes.set(stored.subarray(head * each, (head + 1) * each), row * rowBytes + to * each);
    });
  }
  return bytes;
}

/** Parts side by side in every stored row, or turn by turn. */
function encodeJoined(
  session: Session,
  { dtype, transposed, turns }: PlannedTensor,
  parts: readonly PlannedPart[],
  block: Block,
): AsyncGenerator<Uint8Array, void> {
  const { shape } = parts[0]!;
  const rows = parts.reduce((sum, part) => sum + part.shape[0]!, 0);
  const stored = transposed ? [shape[1]!, rows] : [turns, (rows / turns) * (shape[1] ?? 1)];
  return byRows(session, stored, async (row, count) => {
    const sides: Uint8Array[] = [];
    for (const part of parts) {
      const role = part.role as BlockRole;
      const run = part.shape[0]! / turns;
      sides.push(
        transposed
          ? await block.encodeColumns(role, dtype, row, count)
          : await block.encode(role, dtype, row * run, count * run, 0),
      );
    }
    return sideBySide(sides, transposed && turns > 0 ? count * turns : count);
  });
}

/** The same for a tensor outside the blocks. */
export async function* encodeOutsideTensor(
  session: Session,
  { dtype, parts }: PlannedTensor,
): AsyncGenerator<Uint8Array, void> {
  const part = parts[0]!;
  if (part.fill === 'zeros') {
    yield zeros(dtype, part);
    return;
  }
  if (part.values) {
    const { buffer, byteOffset, byteLength } = part.values;
    yield new Uint8Array(buffer, byteOffset, byteLength);
    return;
  }
  const { source } = session;
  const ref = source.model[part.role as ModelRole] ?? source.model.embedding!;
  if (ref.shape.length === 1) {
    yield await session.encodeTensor(asStored(ref, part.role, session.stored), dtype, 0, 1);
    return;
  }
  yield* byRows(session, part.shape, (row, count) => session.encodeTensor(ref, dtype, row, count));
}

async function* byRows(
  session: Session,
  shape: readonly number[],
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

/** What so many lines have on each side, joined line by line. */
function sideBySide(sides: readonly Uint8Array[], lines: number): Uint8Array {
  if (sides.length === 1) return sides[0]!;
  const joined = new Uint8Array(sides.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (let line = 0; line < lines; line++) {
    for (const side of sides) {
      const width = side.byteLength / lines;
      joined.set(side.subarray(line * width, (line + 1) * width), at);
      at += width;
    }
  }
  sides.forEach(native.dropBytes);
  return joined;
}

function zeros(dtype: Dtype, { shape }: PlannedPart): Uint8Array {
  return new Uint8Array(storageBytes(dtype, shape));
}
