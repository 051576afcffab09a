/** Ops that work on each element by itself, with broadcasting. */
import type { Dim } from '../dims';
import type { Op } from '../op';
import type { Content, Value } from '../value';
import type { OpKind } from './kind';

/** Joins every axis of the output with those that are not broadcast along it; the last axes of all inputs are level. */
export function broadcast(op: Op, values: readonly Value[], content?: Content): Value {
  if (values.length === 0) op.refuse('it has no inputs');
  const shapes = values.map((value) => value.dims ?? op.refuse(`${value.name} has no shape`));
  const rank = Math.max(...shapes.map((shape) => shape.length));
  const dims = Array.from({ length: rank }, (_, i) =>
    widest(shapes.flatMap((shape) => shape[i - rank + shape.length] ?? [])),
  );
  const output = op.output(dims, [], content);
  for (const value of values) alongLast(op, value, output);
  return output;
}

/** A number other than 1 is the size of all; else a symbol is. */
export function widest(dims: Dim[]): Dim {
  return dims.find((dim) => typeof dim === 'number' && dim !== 1) ?? dims.find((d) => d !== 1) ?? 1;
}

/** Joins the axes of a value that is broadcast to another. */
export function alongLast(op: Op, value: Value, to: Value): void {
  const shift = to.axes.length - value.axes.length;
  value.dims?.forEach((dim, i) => {
    if (dim !== 1 || to.dims![i + shift] === 1) op.join([value, i], [to, i + shift]);
  });
}

/** All inputs are of one shape up to broadcasting. */
export const elementwise: OpKind = {
  relate(op) {
    broadcast(op, present(op));
  },
};

export function present(op: Op): Value[] {
  return op.inputs.filter((input) => input !== undefined);
}

/** The other inputs are bounds. */
const limited: OpKind = {
  relate(op) {
    broadcast(op, [op.input(0)]);
  },
};

const dropout: OpKind = {
  relate(op) {
    const output = broadcast(op, [op.input(0)]);
    if (op.node.output.length > 1) broadcast(op, [output]);
  },
};

const PLAIN = [
  ...['Abs', 'Acos', 'Acosh', 'Asin', 'Asinh', 'Atan', 'Atanh', 'BitShift'],
  ...['Celu', 'Cos', 'Cosh', 'Elu', 'Erf', 'Exp', 'Gelu', 'HardSigmoid'],
  ...['HardSwish', 'IsInf', 'IsNaN', 'LeakyRelu', 'Log', 'Max', 'Mean', 'Min'],
  ...['Mish', 'Neg', 'PRelu', 'Pow', 'Reciprocal', 'Relu', 'Round', 'Selu'],
  ...['Shrink', 'Sigmoid', 'Sign', 'Sin', 'Sinh', 'Softplus', 'Softsign', 'Sqrt', 'Sum'],
  ...['Swish', 'Tan', 'Tanh', 'ThresholdedRelu', 'Xor'],
];

export const ELEMENTWISE: Record<string, OpKind> = {
  ...Object.fromEntries(PLAIN.map((name) => [name, elementwise])),
  Clip: limited,
  Dropout: dropout,
};
