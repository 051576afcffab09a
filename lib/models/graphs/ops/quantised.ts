/** Whole numbers for floats: what they hold stays, and what is around it is known by its shape. */
import type { Dim } from '../dims';
import type { Op } from '../op';
import type { Value } from '../value';
import type { OpKind } from './kind';
import { positions } from './maps';

const WHY = 'quantised';

function pinAll(op: Op): void {
  for (const value of [...op.inputs, ...op.outputs]) if (value) op.pinAll(value, WHY);
}

/** Of the first input's shape. */
const linear: OpKind = {
  relate(op) {
    op.output(op.shaped(0).dims);
    pinAll(op);
  },
};

/** Its scale and its zero are numbers. */
const dynamic: OpKind = {
  relate(op) {
    op.output(op.shaped(0).dims);
    op.output([]);
    op.output([]);
    pinAll(op);
  },
};

/** `shape`: of what comes out. `map`: its place among the inputs, and its axis that comes out. */
function product(map: number, axis: number, shape: (op: Op, x: Value, w: Value) => Dim[]): OpKind {
  return {
    relate(op) {
      const [x, w] = [op.shaped(0, 2), op.shaped(map, 2)];
      const dims = shape(op, x, w);
      const y = op.output(dims);
      if (w.constant) op.role('writes', [w, axis], [y, axis === 0 ? 1 : dims.length - 1]);
      pinAll(op);
    },
  };
}

function multiplied(op: Op, { dims: a }: Value, { dims: b }: Value): Dim[] {
  if (b!.length !== 2 || a!.length < 2) op.refuse('its operands are not of two axes');
  return [...a!.slice(0, -1), b![1]!];
}

function convolved(op: Op, { dims: x }: Value, { dims: w }: Value): Dim[] {
  return [x![0]!, w![0]!, ...positions(op, x!.slice(2), w!.slice(2))];
}

/** Four bits or eight a weight, in blocks. */
const matMulNBits: OpKind = {
  relate(op) {
    const dims = op.shaped(0).dims;
    op.output([...dims.slice(0, -1), op.int('N', undefined) ?? op.refuse('N is not set')]);
    pinAll(op);
  },
};

export const QUANTISED: Record<string, OpKind> = {
  ConvInteger: product(1, 0, convolved),
  DequantizeLinear: linear,
  DynamicQuantizeLinear: dynamic,
  MatMulInteger: product(1, 1, multiplied),
  QLinearConv: product(3, 0, convolved),
  QLinearMatMul: product(3, 1, multiplied),
  QuantizeLinear: linear,
};

/** onnxruntime's. */
export const QUANTISED_BY_MICROSOFT: Record<string, OpKind> = {
  DequantizeLinear: linear,
  DynamicQuantizeMatMul: product(1, 1, multiplied),
  MatMulIntegerToFloat: product(1, 1, multiplied),
  MatMulNBits: matMulNBits,
  QuantizeLinear: linear,
};
