/** Ops that read one axis and write another through weights. */
import type { Axis } from '../axes';
import { type Dim, derived, product } from '../dims';
import type { Edit } from '../edit';
import { at, type Op, type Place } from '../op';
import type { Value } from '../value';
import { alongLast, widest } from './elementwise';
import type { OpKind } from './kind';

const SPATIAL = 'positions in space';

/** Axes after batch and channels. */
export function pinSpace(op: Op, value: Value): void {
  for (let i = 2; i < value.axes.length; i++) op.pin([value, i], SPATIAL);
}

/** How a kernel moves over the spatial axes. */
export interface Windows {
  strides: number[];
  dilations: number[];
  pads: [before: number, after: number][];
  /** SAME_UPPER, SAME_LOWER, VALID or NOTSET. */
  auto: string;
}

export function windowsOf(op: Op, n: number): Windows {
  const pads = op.ints('pads', new Array<number>(2 * n).fill(0));
  const auto = op.text('auto_pad', 'NOTSET');
  return {
    strides: op.ints('strides', new Array<number>(n).fill(1)),
    dilations: op.ints('dilations', new Array<number>(n).fill(1)),
    pads: Array.from({ length: n }, (_, i) =>
      auto === 'NOTSET' ? [pads[i]!, pads[i + n]!] : [0, 0],
    ),
    auto,
  };
}

/** Positions that a window takes along each spatial axis. */
export function positions(op: Op, sizes: readonly Dim[], kernel: readonly Dim[]): Dim[] {
  const { strides, dilations, pads, auto } = windowsOf(op, sizes.length);
  const isUp = op.int('ceil_mode', 0) === 1;
  return sizes.map((size, i) => {
    const [stride, dilation, [before, after]] = [strides[i]!, dilations[i]!, pads[i]!];
    const name = `positions ${auto} ${stride} ${dilation} ${before} ${after} ${isUp}`;
    return derived(name, [size, kernel[i]!], (s, k) => {
      if (auto.startsWith('SAME')) return Math.ceil(s / stride);
      const steps = (s + before + after - (k - 1) * dilation - 1) / stride;
      if (!isUp) return Math.floor(steps) + 1;
      // The last window begins before what is padded at the end.
      return Math.min(Math.ceil(steps), Math.ceil((s + before) / stride) - 1) + 1;
    });
  });
}

/** What ConvTranspose makes of the spatial axes. */
export function grown(op: Op, sizes: readonly Dim[], kernel: readonly Dim[]): Dim[] {
  if (op.has('output_shape')) op.refuse('its output_shape is given');
  const { strides, dilations, pads, auto } = windowsOf(op, sizes.length);
  const added = op.ints('output_padding', new Array<number>(sizes.length).fill(0));
  return sizes.map((size, i) => {
    const [stride, dilation, more] = [
      strides[i]!,
      dilations[i]!,
      added[i]! - pads[i]![0] - pads[i]![1],
    ];
    return derived(`grown ${auto} ${stride} ${dilation} ${more}`, [size, kernel[i]!], (s, k) =>
      auto.startsWith('SAME') ? s * stride : (s - 1) * stride + (k - 1) * dilation + 1 + more,
    );
  });
}

/**
 * An axis of all groups' channels, and one of a single group's. Of groups with more than one channel the same channels
 * go in each; where a group is one channel, the group goes.
 */
function grouped(op: Op, all: Axis, one: Axis): void {
  op.factor(all, [op.axes.group!, one], 1);
}

const conv: OpKind = {
  relate(op) {
    const [x, w, b] = [op.shaped(0, 3), op.shaped(1, 3), op.inputs[2]];
    const groups = op.int('group', 1);
    const space = positions(op, x.dims.slice(2), w.dims.slice(2));
    const y = op.output([x.dims[0]!, w.dims[0]!, ...space], [[x, 0]]);
    op.writes([w, 0], [y, 1]);
    if (groups === 1) op.reads([w, 1], [x, 1]);
    else {
      op.axes.group = op.axis(groups);
      grouped(op, at([x, 1]), at([w, 1]));
      grouped(op, at([w, 0]), op.axis(Number(w.dims[0]) / groups));
      op.role('reads', [w, 1], [x, 1]);
    }
    finish(op, x, w, y, b);
  },
  rewrite: writeGroups,
};

const convTranspose: OpKind = {
  relate(op) {
    const [x, w, b] = [op.shaped(0, 3), op.shaped(1, 3), op.inputs[2]];
    const groups = op.int('group', 1);
    const space = grown(op, x.dims.slice(2), w.dims.slice(2));
    const y = op.output([x.dims[0]!, product([groups, w.dims[1]!]), ...space], [[x, 0]]);
    if (groups === 1) {
      op.reads([w, 0], [x, 1]);
      op.writes([w, 1], [y, 1]);
    } else {
      op.axes.group = op.axis(groups);
      const each = op.axis(Number(w.dims[0]) / groups);
      op.join([w, 0], [x, 1]);
      grouped(op, at([w, 0]), each);
      grouped(op, at([y, 1]), at([w, 1]));
      op.role('reads', [w, 0], [x, 1], each);
      op.role('writes', [w, 1], [y, 1]);
    }
    finish(op, x, w, y, b);
  },
  rewrite: writeGroups,
};

function finish(op: Op, x: Value, w: Value, y: Value, bias: Value | undefined): void {
  if (bias) op.join([bias, 0], [y, 1]);
  for (const value of [x, w, y]) pinSpace(op, value);
}

function writeGroups(op: Op, edit: Edit): void {
  edit.setSize(op, 'group', op.axes.group);
}

const gemm: OpKind = {
  relate(op) {
    const [a, b, c] = [op.shaped(0, 2), op.shaped(1, 2), op.inputs[2]];
    const rows: Place = [a, op.int('transA', 0) ? 1 : 0];
    const columns: Place = [b, op.int('transB', 0) ? 0 : 1];
    const y = op.output([sizeAt(rows), sizeAt(columns)]);
    contract(op, [a, 1 - rows[1]], [b, 1 - columns[1]]);
    carry(op, rows, [y, 0]);
    carry(op, columns, [y, 1]);
    if (c) alongLast(op, c, y);
  },
};

/** `turned`: the last two axes of the first operand are swapped, and of the second. */
function multiply(op: Op, turned: readonly [boolean, boolean] = [false, false]): void {
  const [a, b] = [op.shaped(0), op.shaped(1)];
  if (a.dims.length < 2 || b.dims.length < 2) op.refuse('one of its operands is a vector');
  const rank = Math.max(a.dims.length, b.dims.length);
  const batch = Array.from({ length: rank - 2 }, (_, i) =>
    [a, b].flatMap((value): Place[] => {
      const position = i - rank + value.dims.length;
      return position >= 0 && value.dims[position] !== 1 ? [[value, position]] : [];
    }),
  );
  const [rows, inner] = lastTwo(a, turned[0]);
  const [other, columns] = lastTwo(b, turned[1]);
  const outer = batch.map((places) => widest(places.map(sizeAt)));
  const y = op.output([...outer, sizeAt(rows), sizeAt(columns)]);
  batch.forEach((places, i) => {
    for (const place of places) op.join(place, [y, i]);
    if (!a.constant && !b.constant) op.head(at([y, i]));
  });
  contract(op, inner, other);
  carry(op, rows, [y, rank - 2]);
  carry(op, columns, [y, rank - 1]);
}

function lastTwo(value: Value, isTurned: boolean): [Place, Place] {
  const places: [Place, Place] = [
    [value, value.axes.length - 2],
    [value, value.axes.length - 1],
  ];
  return isTurned ? [places[1], places[0]] : places;
}

const matMul: OpKind = { relate: (op) => multiply(op) };

/** onnxruntime's, which may turn its operands. */
export const fusedMatMul: OpKind = {
  relate(op) {
    if (op.int('transBatchA', 0) || op.int('transBatchB', 0)) op.refuse('it turns its batches');
    multiply(op, [op.int('transA', 0) === 1, op.int('transB', 0) === 1]);
  },
};

/** Sums over one axis of each: a map reads the other, or two activations are multiplied. */
function contract(op: Op, a: Place, b: Place): void {
  if (b[0].constant && !a[0].constant) op.reads(b, a);
  else if (a[0].constant && !b[0].constant) op.reads(a, b);
  else {
    op.join(a, b);
    op.mix(a, 'sums over it');
  }
}

/** An operand's axis that the output has: of a constant, what the map writes. */
function carry(op: Op, from: Place, to: Place): void {
  if (from[0].constant) op.writes(from, to);
  else op.join(from, to);
}

const einsum: OpKind = {
  relate(op) {
    const [left, right] = op.text('equation', '').replaceAll(' ', '').split('->');
    if (!left || right === undefined || left.includes('.')) op.refuse('its equation is not plain');
    const terms = left!.split(',').map((term) => [...term]);
    if (terms.length !== op.inputs.length) op.refuse('its equation is not of its inputs');
    if ([...terms, [...right!]].some((term) => new Set(term).size < term.length)) {
      op.refuse('a letter stands twice in one term');
    }
    const places = new Map<string, Place[]>();
    terms.forEach((term, i) => {
      const value = op.shaped(i);
      if (value.dims.length !== term.length) op.refuse('its equation is not of its inputs');
      term.forEach((letter, p) => {
        places.set(letter, [...(places.get(letter) ?? []), [value, p]]);
      });
    });
    const of = (letter: string) => places.get(letter) ?? op.refuse(`no input has ${letter}`);
    const y = op.output([...right!].map((letter) => sizeAt(of(letter)[0]!)));
    for (const [letter, [first, second, ...more]] of places) {
      const position = right!.indexOf(letter);
      if (more.length > 0 && position < 0) op.refuse('three of its inputs are contracted');
      if (position < 0 && second) contract(op, first!, second);
      else if (position < 0) op.mix(first!, 'sums over it');
      else if (second) {
        for (const place of places.get(letter)!) op.join(place, [y, position]);
        if (![first, second].some((place) => place![0].constant)) op.head(at([y, position]));
      } else carry(op, first!, [y, position]);
    }
  },
};

function sizeAt([value, position]: Place): Dim {
  return value.dims![position]!;
}

export const MAPS: Record<string, OpKind> = {
  Conv: conv,
  ConvTranspose: convTranspose,
  Einsum: einsum,
  Gemm: gemm,
  MatMul: matMul,
};
