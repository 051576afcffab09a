/** Ops that work on each element by itself, with broadcasting. */
import { type Dim, derived, product } from '../dims';
import { INT64 } from '../onnx/tensor';
import type { Op } from '../op';
import type { Content, Value } from '../value';
import type { OpKind } from './kind';

/** Joins every axis of the output with those that are not broadcast along it; the last axes of all inputs are level. */
export function broadcast(op: Op, values: readonly Value[], content?: Content): Value {
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

function present(op: Op): Value[] {
  return op.inputs.filter((input) => input !== undefined);
}

/** What `compute` makes of sizes. */
function settled(compute: (value: number) => number): OpKind {
  return {
    relate(op) {
      const { content } = op.input(0);
      const elements = content?.elements.map((e) => derived(op.node.opType, [e], compute));
      broadcast(op, [op.input(0)], content && elements && { ...content, elements });
    },
  };
}

const cast: OpKind = {
  relate(op) {
    const { content } = op.input(0);
    const isInt64 = op.int('to', undefined) === INT64;
    const elements = content?.elements.map((e) =>
      typeof e === 'number' && isInt64 ? Math.trunc(e) : e,
    );
    broadcast(op, [op.input(0)], content && elements && { ...content, elements, isInt64 });
  },
};

const limited: OpKind = {
  relate(op) {
    broadcast(op, [op.input(0)]);
  },
};

/** The same sizes. */
const passing: OpKind = {
  relate(op) {
    broadcast(op, [op.input(0)], op.input(0).content);
  },
};

const dropout: OpKind = {
  relate(op) {
    const output = broadcast(op, [op.input(0)]);
    if (op.node.output.length > 1) broadcast(op, [output]);
  },
};

/** What an op makes of sizes, which may be symbols. */
type Compute = (name: string, sizes: Dim[]) => Dim;

/** Also on the few elements that shapes are computed from. */
function computed(compute: Compute): OpKind {
  return {
    relate(op) {
      const values = present(op);
      broadcast(op, values, contentOf(op.node.opType, values, compute));
    },
  };
}

function contentOf(name: string, values: Value[], compute: Compute): Content | undefined {
  const contents = values.flatMap(({ content }) => content ?? []);
  if (contents.length < values.length || values.some(({ axes }) => axes.length > 1))
    return undefined;
  const length = Math.max(...contents.map(({ elements }) => elements.length));
  if (contents.some(({ elements }) => ![1, length].includes(elements.length))) return undefined;
  const elements = Array.from({ length }, (_, i) =>
    compute(
      name,
      contents.map(({ elements: all }) => all[all.length === 1 ? 0 : i]!),
    ),
  );
  const shapesOf = contents.flatMap((content) => content.shapesOf);
  return { elements, shapesOf, isInt64: contents.at(-1)!.isInt64 && name !== 'Equal' };
}

/** Of whole numbers ONNX gives a whole number; whether they are whole is not known here. */
const arithmetic =
  (compute: (a: number, b: number) => number): Compute =>
  (name, sizes) => {
    const size = derived(name, sizes, (a, b) => compute(a!, b!));
    return typeof size === 'string' || Number.isInteger(size) ? size : `${name}(${sizes})`;
  };

const times: Compute = (name, sizes) =>
  sizes.every((size) => typeof size === 'string' || (Number.isInteger(size) && size >= 0))
    ? product(sizes)
    : arithmetic((a, b) => a * b)(name, sizes);

/** A symbol stands for a size, which no negative number is. */
const equal: Compute = (name, [a, b]) => {
  if (a === b) return 1;
  const isTold =
    [a, b].every((size) => typeof size === 'number') || [a, b].some((size) => Number(size) < 0);
  return isTold ? 0 : `${name}(${a},${b})`;
};

const where: Compute = (name, [condition, a, b]) => {
  if (typeof condition === 'number') return condition ? a! : b!;
  return `${name}(${condition},${a},${b})`;
};

const unary = (names: string) => names.split(' ').map((name) => [name, elementwise]);

export const ELEMENTWISE: Record<string, OpKind> = Object.fromEntries([
  ...unary(
    'Abs Acos Acosh Asin Asinh Atan Atanh Celu Cos Cosh Elu Erf Exp Gelu HardSigmoid HardSwish',
  ),
  ...unary(
    'IsInf IsNaN LeakyRelu Log Mish Neg Not Reciprocal Relu Round Selu Sigmoid Sign Sin Sinh',
  ),
  ...unary('Softplus Softsign Sqrt Swish Tan Tanh ThresholdedRelu'),
  ...unary('And BitShift Greater GreaterOrEqual Less LessOrEqual Max Mean Min Or PRelu Pow'),
  ...unary('Sum Xor'),
  ['Cast', cast],
  ['CastLike', cast],
  ['Ceil', settled(Math.ceil)],
  ['Clip', limited],
  ['Dropout', dropout],
  ['Floor', settled(Math.floor)],
  ['Identity', passing],
  ['Add', computed(arithmetic((a, b) => a + b))],
  ['Div', computed(arithmetic((a, b) => a / b))],
  ['Equal', computed(equal)],
  ['Mod', computed(arithmetic((a, b) => ((a % b) + b) % b))],
  ['Mul', computed(times)],
  ['Sub', computed(arithmetic((a, b) => a - b))],
  ['Where', computed(where)],
]);
