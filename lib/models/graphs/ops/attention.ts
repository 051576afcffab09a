/** Attention as one op, ONNX's and onnxruntime's: whole heads go, those of keys with the queries' that read them. */
import type { Axis } from '../axes';
import { type Dim, derived, product, quotient } from '../dims';
import type { Edit } from '../edit';
import { at, type Op, type Place } from '../op';
import type { Value } from '../value';
import type { OpKind } from './kind';
import { except } from './layout';

const INSIDE = 'inside of a head';
const POSITIONS = 'positions of a sequence';

/** `axes.heads` are those of queries, `axes.keyHeads` those of keys and values, each of which that many of the queries' read. */
function nameHeads(op: Op, queries: Dim, keys: Dim): void {
  const each = quotient(queries, keys);
  if (typeof queries !== 'number' || typeof keys !== 'number' || typeof each !== 'number') {
    op.refuse('its heads of queries are not as many for each of its heads of keys');
  }
  op.axes.heads = op.axis(Number(queries));
  op.axes.keyHeads = op.axis(Number(keys));
  op.factor(op.axes.heads, [op.axes.keyHeads, op.axis(Number(each))]);
  for (const axis of [op.axes.heads, op.axes.keyHeads]) op.head(axis);
}

/** The axis of that width is cut into heads, of which whole ones go. */
function cutIntoHeads(op: Op, flat: Axis, width: Dim, heads: Axis, count: number): void {
  const size = quotient(width, count);
  if (typeof size !== 'number') op.refuse('its heads do not divide the width');
  const inner = op.axis(size as number);
  op.pinAxis(inner, INSIDE);
  op.factor(flat, [heads, inner]);
}

/** Of queries, keys or values: what the axes [batch, heads, positions, size] are. `flat`: heads and size are one axis, the last. */
interface Part {
  batch: Place;
  count: number;
  positions: Dim;
  size: Dim;
  flat: boolean;
}

/** [batch, positions, heads × size] or [batch, heads, positions, size], with that many heads. */
function partOf(op: Op, value: Value & { dims: readonly Dim[] }, heads: Axis, count: number): Part {
  const { dims } = value;
  const batch: Place = [value, 0];
  if (dims.length === 3) {
    op.pin([value, 1], POSITIONS);
    cutIntoHeads(op, at([value, 2]), dims[2]!, heads, count);
    const size = quotient(dims[2]!, count)!;
    return { batch, count, positions: dims[1]!, size, flat: true };
  }
  if (dims.length !== 4) return op.refuse('its inputs are packed');
  op.joinAxes(heads, at([value, 1]));
  op.pin([value, 2], POSITIONS);
  op.pin([value, 3], INSIDE);
  return { batch, count, positions: dims[2]!, size: dims[3]!, flat: false };
}

/** Queries, keys and values, the first three inputs. */
function apart(op: Op, queries: number, keys: number): Part[] {
  const { heads, keyHeads } = op.axes;
  return [0, 1, 2].map((i) =>
    partOf(op, op.shaped(i, 3), i === 0 ? heads! : keyHeads!, i === 0 ? queries : keys),
  );
}

/** The same where they are one after the other in the first input's last axis. */
function packed(op: Op, queries: number, keys: number): Part[] {
  const query = op.shaped(0, 3);
  const { heads, keyHeads } = op.axes;
  const size = quotient(query.dims[2]!, queries + 2 * keys);
  if (typeof size !== 'number') return op.refuse('its heads do not divide the width');
  op.pin([query, 1], POSITIONS);
  const counts = [queries, keys, keys];
  const widths = counts.map((count) => count * size);
  return op.cut([query, 2], widths).map((axis, i): Part => {
    const count = counts[i]!;
    cutIntoHeads(op, axis, widths[i]!, i === 0 ? heads! : keyHeads!, count);
    return { batch: [query, 0], count, positions: query.dims[1]!, size, flat: true };
  });
}

/** What attention gives: shaped as queries are, of the size that values have. */
function answer(op: Op, { batch, count, positions, flat }: Part, { size }: Part): void {
  const first = batch[0].dims![0]!;
  const dims = flat ? [first, positions, product([count, size])] : [first, count, positions, size];
  partOf(op, op.output(dims, [batch]) as Value & { dims: Dim[] }, op.axes.heads!, count);
}

/**
 * The next outputs: keys and values of all positions so far, and scores, as far as they are asked for. `first`: the input with keys
 * of the positions before. Where the caller keeps them they have as many heads as they had.
 */
function keep(op: Op, first: number, queries: Part, parts: readonly Part[]): void {
  const outputs = op.node.output.length;
  let all: Dim = parts[0]!.positions;
  parts.forEach(({ batch, count, positions, size }, i) => {
    const before = op.inputs[first + i];
    if (before) {
      if (before.dims?.length !== 4) op.refuse('the keys kept are packed');
      all = derived('past', [before.dims![2]!, positions], (past, more) => past + more);
    }
    if (outputs > i + 1) op.output([batch[0].dims![0]!, count, all, size], [batch]);
    const after = op.outputs[i + 1];
    for (const value of [before, after]) {
      if (value) for (const axis of [2, 3]) op.pin([value, axis], axis === 2 ? POSITIONS : INSIDE);
    }
    const { keyHeads } = op.axes;
    if (before && op.isOutside([before, 1], after)) {
      op.outside.push({ input: first + i, output: i + 1, position: 1, axis: keyHeads! });
    } else {
      for (const value of [before, after]) if (value) op.joinAxes(keyHeads!, at([value, 1]));
    }
  });
  if (outputs <= 3) return;
  const { batch, count, positions } = queries;
  mask(op, op.output([batch[0].dims![0]!, count, positions, all], [batch]));
}

/** What is added to scores, or says which count: its last axes are those of [batch, heads, queries, keys]. */
function mask(op: Op, value: Value | undefined): void {
  if (!value) return;
  const dims = value.dims ?? op.refuse(`the shape of ${value.name} is not known`);
  dims.forEach((size, i) => {
    if (i !== dims.length - 3) op.pin([value, i], POSITIONS);
    else if (size !== 1) op.joinAxes(op.axes.heads!, at([value, i]));
  });
}

/** What has nothing along heads. */
function stay(op: Op, ...inputs: number[]): void {
  for (const index of inputs) {
    const value = op.inputs[index];
    if (value) op.pinAll(value, 'the same for all heads');
  }
}

/** Attributes that count heads, where they are there. */
function counting(names: { queries: string; keys?: string }): NonNullable<OpKind['rewrite']> {
  return (op: Op, edit: Edit) => {
    if (op.has(names.queries)) edit.setSize(op, names.queries, op.axes.heads);
    if (names.keys && op.has(names.keys)) edit.setSize(op, names.keys, op.axes.keyHeads);
    edit.keepOutside(op);
  };
}

/** ONNX's, of opset 23 on. */
const attention: OpKind = {
  relate(op) {
    const [query, key] = [op.shaped(0, 3), op.shaped(1, 3)];
    const countOf = ({ dims }: typeof query, name: string): Dim =>
      dims.length === 4 ? dims[1]! : op.int(name, 0) || op.refuse(`${name} is missing`);
    const queries = countOf(query, 'q_num_heads');
    const keys = countOf(key, 'kv_num_heads');
    nameHeads(op, queries, keys);
    const [asked, ...parts] = apart(op, Number(queries), Number(keys));
    answer(op, asked!, parts[1]!);
    mask(op, op.inputs[3]);
    keep(op, 4, asked!, parts);
    stay(op, 6);
  },
  rewrite: counting({ queries: 'q_num_heads', keys: 'kv_num_heads' }),
};

/** Query, key and value have been projected already, each by itself or into one tensor. */
const groupQueryAttention: OpKind = {
  relate(op) {
    const [queries, keys] = [op.int('num_heads', 0), op.int('kv_num_heads', 0)];
    for (const cache of ['k', 'v']) {
      const isPlain = op.text(`${cache}_quant_type`, 'NONE') === 'NONE';
      if (!isPlain || op.inputs[cache === 'k' ? 12 : 13]) op.refuse('the keys kept are quantised');
    }
    nameHeads(op, queries, keys);
    const query = op.shaped(0, 3);
    if (query.dims.length !== 3)
      op.refuse('its query has other axes than batch, positions and width');
    const [asked, ...parts] = op.inputs[1] ? apart(op, queries, keys) : packed(op, queries, keys);
    answer(op, asked!, parts[1]!);
    keep(op, 3, asked!, parts);
    mask(op, op.inputs[10]);
    const sink = op.inputs[11];
    if (sink) op.joinAxes(op.axes.heads!, at([sink, 0]));
    stay(op, 5, 6, 7, 8, 9, 14, 15);
  },
  rewrite: counting({ queries: 'num_heads', keys: 'kv_num_heads' }),
};

/** The same with as many heads of keys; a bias of query, key and value may follow. */
const multiHeadAttention: OpKind = {
  relate(op) {
    const count = op.int('num_heads', 1);
    nameHeads(op, count, count);
    if (!op.inputs[1] || !op.inputs[2]) op.refuse('query, key and value are in one tensor');
    if (op.inputs[9]) op.refuse('it searches with beams');
    const [asked, ...parts] = apart(op, count, count);
    answer(op, asked!, parts[1]!);
    const bias = op.inputs[3];
    if (bias) {
      const widths = [asked!, ...parts].map(({ size }) => count * Number(size));
      op.cut([bias, 0], widths).forEach((axis, i) => {
        cutIntoHeads(op, axis, widths[i]!, op.axes.heads!, count);
      });
    }
    mask(op, op.inputs[5]);
    keep(op, 6, asked!, parts);
    stay(op, 4, 8);
  },
  rewrite: counting({ queries: 'num_heads' }),
};

/** Reads [hidden, 3 × heads × size] and a bias of that width. */
const projectingAttention: OpKind = {
  relate(op) {
    const [x, w, bias] = [op.shaped(0, 3), op.shaped(1, 2), op.input(2)];
    if (
      op.has('qkv_hidden_sizes') ||
      op.inputs[4] ||
      op.node.output.slice(1).some((name) => name !== '')
    ) {
      op.refuse('its parts differ in width, or it keeps its keys');
    }
    const count = op.int('num_heads', 1);
    nameHeads(op, count, count);
    const heads = op.axes.heads!;
    const width = quotient(w.dims[1]!, 3) ?? op.refuse('its width does not divide by three');
    const y = op.output(
      [x.dims[0]!, x.dims[1]!, width],
      [
        [x, 0],
        [x, 1],
      ],
    );
    op.reads([w, 0], [x, 2]);
    cutIntoHeads(op, at([y, 2]), width, heads, count);
    for (const place of [
      [w, 1],
      [bias, 0],
    ] as Place[]) {
      const widths = [width, width, width].map(Number);
      for (const axis of op.cut(place, widths)) cutIntoHeads(op, axis, width, heads, count);
    }
    op.role('writes', [w, 1], [y, 2]);
    mask(op, op.inputs[5]);
    stay(op, 3, 6);
  },
  rewrite: counting({ queries: 'num_heads' }),
};

/** Turns parts of each head by angles of the position. `angles`: the input with their cosines. */
function rotary(angles: number): OpKind {
  return {
    relate(op) {
      const x = op.shaped(0);
      op.output(x.dims, except(x));
      const stated = op.int('num_heads', 0);
      const widest = op.shaped(angles, 1).dims.at(-1)!;
      const size = quotient(x.dims[2] ?? 1, stated) ?? product([2, widest]);
      const count = stated || quotient(x.dims[2] ?? 1, size);
      if (x.dims.length === 3 && typeof count === 'number') {
        const heads = op.axis(count);
        if (stated) op.axes.heads = heads;
        partOf(op, x, heads, count);
      } else if (x.dims.length === 4) partOf(op, x, at([x, 1]), Number(x.dims[1]));
      else op.refuse('its heads are not known');
      stay(op, 1, 2, 3);
    },
    rewrite: counting({ queries: 'num_heads' }),
  };
}

export const ATTENTION: Record<string, OpKind> = {
  Attention: attention,
  RotaryEmbedding: rotary(1),
};

export const ATTENTION_BY_MICROSOFT: Record<string, OpKind> = {
  Attention: projectingAttention,
  GroupQueryAttention: groupQueryAttention,
  MultiHeadAttention: multiHeadAttention,
  RotaryEmbedding: rotary(2),
};
