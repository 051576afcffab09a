/** Ops that move axes, and cut them anew. */
import type { Axis } from '../axes';
import { type Dim, factorOf, product, quotient } from '../dims';
import type { Stated } from '../edit';
import { at, type Op, type Place } from '../op';
import { permuted, type Value } from '../value';
import type { OpKind } from './kind';
import { regroup } from './regroup';

const reshape: OpKind = {
  sizes: [1],
  relate(op) {
    const x = op.shaped(0);
    const asked = op.input(1).content?.elements ?? op.refuse('its shape is not known');
    if (op.int('allowzero', 0) && asked.includes(0)) op.refuse('it makes an axis of no positions');
    const dims = asked.map((size, i) => (size === 0 ? (x.dims[i] ?? 1) : size));
    const open = dims.indexOf(-1);
    if (open >= 0) {
      const others = dims.filter((_, i) => i !== open);
      dims[open] = quotient(product(x.dims), product(others)) ?? `rest ${op.node.output[0]}`;
    }
    const y = op.output(dims, [], x.content);
    regroup(op, x, y);
    if (statedSizes(asked, x, y).some(isComputed)) keepComputed(op, 1, asked, y);
  },
  rewrite(op, edit) {
    const y = op.outputs[0]!;
    const { elements, shapesOf } = op.input(1).content!;
    if (![y, ...shapesOf].some((value) => edit.hasChanged(value))) return;
    // Zeros that are written here are sizes of the input.
    edit.remove(op, 'allowzero');
    const sizes = statedSizes(elements, op.input(0), y);
    edit.setSizes(
      op,
      1,
      sizes.map((size, i) => (typeof size === 'number' && size > 0 ? edit.sizeAt(y, i) : size)),
    );
  },
};

/**
 * The sizes as a node can state them. Those that are symbols are the input's own at that place (0) or, once, what is left over (-1); of several the
 * input may have them elsewhere, and one that it does not have is computed as before.
 */
function statedSizes(asked: readonly Dim[], x: Value, y: Value): Stated[] {
  const before = (dims: readonly Dim[], i: number) => String(product(dims.slice(0, i)));
  const isLevel = (i: number) =>
    asked[i] === x.dims![i] &&
    (factorOf(asked[i]!) === 1 || before(x.dims!, i) === before(y.dims!, i));
  const sizes = asked.map((size, i): Stated => {
    if (typeof size === 'number') return size;
    return isLevel(i) ? 0 : -1;
  });
  if (sizes.filter((size) => size === -1).length <= 1) return sizes;
  const elsewhere = sizes.map((size, i): Stated => {
    const at = factorOf(asked[i]!) === 1 ? x.dims!.indexOf(asked[i]!) : -1;
    return size === -1 && at >= 0 ? { input: 0, at } : size;
  });
  if (elsewhere.filter((size) => size === -1).length <= 1) return elsewhere;
  return elsewhere.map((size, i) => (size === -1 && asked[i] !== -1 ? { input: 1, at: i } : size));
}

const isComputed = (size: Stated) => typeof size === 'object' && size.input !== 0;

/** What sizes that are computed come from does not change; the value's axes that have them do not either. */
export function keepComputed(op: Op, index: number, asked: readonly Dim[], y: Value): void {
  const WHY = 'a shape that is computed';
  op.pinSources(index, WHY);
  const shift = y.axes.length - asked.length;
  asked.forEach((size, i) => {
    if (typeof size === 'string') op.pin([y, i + shift], WHY);
  });
}

const flatten: OpKind = {
  relate(op) {
    const x = op.shaped(0);
    const given = op.int('axis', 1);
    const axis = given < 0 ? given + x.dims.length : given;
    const y = op.output([product(x.dims.slice(0, axis)), product(x.dims.slice(axis))]);
    regroup(op, x, y);
  },
};

const transpose: OpKind = {
  relate(op) {
    const x = op.shaped(0);
    const reversed = x.dims.map((_, i) => x.dims.length - 1 - i);
    const order = op.ints('perm', reversed).map((axis) => op.position(axis, x.dims.length));
    if (order.length !== x.dims.length) op.refuse('its permutation is not of its input');
    op.output(
      order.map((axis) => x.dims[axis]!),
      order.map((axis): Place => [x, axis]),
      permuted(x, order),
    );
  },
};

/** Axes as an attribute, or, later, as an input. */
export function axesOf(op: Op, rank: number): number[] | undefined {
  const given = op.ints('axes', undefined) ?? (op.inputs[1] ? op.numbers(1) : undefined);
  return given?.map((axis) => op.position(axis, rank));
}

const squeeze: OpKind = {
  relate(op) {
    const x = op.shaped(0);
    const gone = axesOf(op, x.dims.length) ?? x.dims.flatMap((dim, i) => (dim === 1 ? i : []));
    const kept = x.dims.map((_, i) => i).filter((i) => !gone.includes(i));
    op.output(
      kept.map((i) => x.dims[i]!),
      kept.map((i): Place => [x, i]),
      x.content,
    );
  },
};

const unsqueeze: OpKind = {
  relate(op) {
    const x = op.shaped(0);
    const given = op.ints('axes', undefined) ?? op.numbers(1);
    const rank = x.dims.length + given.length;
    const added = new Set(given.map((axis) => op.position(axis, rank)));
    let next = 0;
    const from = Array.from({ length: rank }, (_, i) => (added.has(i) ? undefined : next++));
    op.output(
      from.map((axis) => (axis === undefined ? 1 : x.dims[axis]!)),
      from.map((axis): Place | undefined => (axis === undefined ? undefined : [x, axis])),
      x.content,
    );
  },
};

/** Positions of the other axes, each with itself. */
export function except(value: Value, ...positions: number[]): (Place | undefined)[] {
  return value.axes.map((_, i) => (positions.includes(i) ? undefined : [value, i]));
}

const expand: OpKind = {
  sizes: [1],
  relate(op) {
    const x = op.shaped(0);
    const asked = op.input(1).content?.elements ?? op.refuse('its shape is not known');
    const rank = Math.max(asked.length, x.dims.length);
    const own = (i: number) => x.dims[i - rank + x.dims.length] ?? 1;
    const dims = Array.from({ length: rank }, (_, i) => {
      const size = asked[i - rank + asked.length] ?? 1;
      return size === 1 || size === -1 ? own(i) : size;
    });
    const y = op.output(dims);
    dims.forEach((_, i) => {
      if (own(i) !== 1) op.join([x, i - rank + x.dims.length], [y, i]);
    });
    if (asked.some((size) => typeof size === 'string')) keepComputed(op, 1, asked, y);
  },
  rewrite(op, edit) {
    const y = op.outputs[0]!;
    const asked = op.input(1).content!.elements;
    if (!edit.hasChanged(y)) return;
    const shift = y.axes.length - asked.length;
    const sizes = asked.map((size, i): Stated => {
      if (typeof size === 'string') return { input: 1, at: i };
      return size > 1 ? edit.sizeAt(y, i + shift) : size;
    });
    edit.setSizes(op, 1, sizes);
  },
};

const tile: OpKind = {
  relate(op) {
    const x = op.shaped(0);
    const repeats = op.numbers(1);
    const y = op.output(x.dims.map((dim, i) => product([dim, repeats[i] ?? 1])));
    repeats.forEach((times, i) => {
      if (times === 1) op.join([x, i], [y, i]);
      else op.factor(at([y, i]), [op.axis(times), at([x, i])], 1);
    });
  },
};

const depthToSpace: OpKind = {
  relate(op) {
    const x = op.shaped(0, 4);
    const block = op.int('blocksize', 1);
    const channels = quotient(x.dims[1]!, block * block) ?? op.refuse('its channels do not divide');
    const space = x.dims.slice(2).map((dim) => product([dim, block]));
    const y = op.output([x.dims[0]!, channels, ...space], [[x, 0]]);
    const [own, blocks] = [at([y, 1]), op.axis(block * block)];
    op.factor(at([x, 1]), op.text('mode', 'DCR') === 'CRD' ? [own, blocks] : [blocks, own]);
    keepBlocks(op, blocks, x, y);
  },
};

const spaceToDepth: OpKind = {
  relate(op) {
    const x = op.shaped(0, 4);
    const block = op.int('blocksize', 1);
    const space = x.dims
      .slice(2)
      .map((dim) => quotient(dim, block) ?? `blocks ${op.node.output[0]}`);
    const y = op.output([x.dims[0]!, product([x.dims[1]!, block * block]), ...space], [[x, 0]]);
    const blocks = op.axis(block * block);
    op.factor(at([y, 1]), [blocks, at([x, 1])]);
    keepBlocks(op, blocks, x, y);
  },
};

function keepBlocks(op: Op, blocks: Axis, x: Value, y: Value): void {
  op.pinAxis(blocks, 'positions in a block');
  for (const value of [x, y]) {
    for (let i = 2; i < value.axes.length; i++) op.pin([value, i], 'positions in space');
  }
}

export const LAYOUT: Record<string, OpKind> = {
  DepthToSpace: depthToSpace,
  Expand: expand,
  Flatten: flatten,
  Reshape: reshape,
  SpaceToDepth: spaceToDepth,
  Squeeze: squeeze,
  Tile: tile,
  Transpose: transpose,
  Unsqueeze: unsqueeze,
};
