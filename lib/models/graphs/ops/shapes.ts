/** Ops that make shapes, and constants of a shape. */
import { LONGEST_CONTENT } from '../constants';
import { type Dim, product } from '../dims';
import type { Stated } from '../edit';
import { INT64, inlineData } from '../onnx/tensor';
import type { Op } from '../op';
import type { Content, Value } from '../value';
import type { OpKind } from './kind';
import { keepComputed } from './layout';

const shape: OpKind = {
  relate(op) {
    const x = op.shaped(0);
    const elements = x.dims.slice(op.int('start', 0), op.int('end', x.dims.length));
    op.output([elements.length], [], { elements, shapesOf: [x], isInt64: true });
  },
};

/** The number of elements. */
const size: OpKind = {
  relate(op) {
    const x = op.shaped(0);
    op.output([], [], { elements: [product([...x.dims])], shapesOf: [x], isInt64: true });
  },
};

const constantOfShape: OpKind = {
  sizes: [0],
  relate(op) {
    const asked = op.input(0).content?.elements ?? op.refuse('its shape is not known');
    const y = op.output(asked, [], zeros(op, asked));
    if (asked.some((size) => typeof size === 'string')) keepComputed(op, 0, asked, y);
  },
  rewrite(op, edit) {
    const y: Value = op.outputs[0]!;
    if (!edit.hasChanged(y)) return;
    const sizes = y.dims!.map((size, i): Stated => {
      return typeof size === 'string' ? { input: 0, at: i } : edit.sizeAt(y, i);
    });
    edit.setSizes(op, 0, sizes);
  },
};

const range: OpKind = {
  relate(op) {
    const name = op.node.output[0];
    op.output([`range ${name}`]);
    for (const input of op.inputs) if (input) op.pinAll(input, 'bounds');
  },
};

/** A short vector of zeros, which sizes may be put together with. */
function zeros(op: Op, asked: readonly Dim[]): Content | undefined {
  const length = Number(product(asked));
  if (!(length <= LONGEST_CONTENT)) return undefined;
  const isInt64 = op.tensor('value')?.dataType === INT64;
  if (!isInt64) return undefined;
  const element = Number(
    new BigInt64Array(inlineData(op.tensor('value')!).read(0, 8).slice().buffer)[0],
  );
  return { elements: new Array<Dim>(length).fill(element), shapesOf: [], isInt64 };
}

/** Of the first input's shape, with elements that depend on where others are. */
const positional: OpKind = {
  relate(op) {
    const y = op.output(op.shaped(0).dims);
    for (const value of [...op.inputs, y]) if (value) op.pinAll(value, 'positions');
  },
};

export const SHAPES: Record<string, OpKind> = {
  ConstantOfShape: constantOfShape,
  CumSum: positional,
  Range: range,
  ScatterElements: positional,
  ScatterND: positional,
  Shape: shape,
  Size: size,
  Trilu: positional,
};
