/** Elementwise ops that exporters compute sizes with: what they make of axes, and of those sizes. */
import { type Dim, derived, product } from '../dims';
import { BOOL, INT64 } from '../onnx/tensor';
import type { Content, Value } from '../value';
import { broadcast, present } from './elementwise';
import type { OpKind } from './kind';

/** Of one input. */
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
    const to = op.int('to', undefined);
    const isInt64 = to === INT64;
    const elements = content?.elements.map((e) => {
      if (typeof e === 'string') return e;
      if (to === BOOL) return e === 0 ? 0 : 1;
      return isInt64 ? Math.trunc(e) : e;
    });
    broadcast(op, [op.input(0)], content && elements && { ...content, elements, isInt64 });
  },
};

/** The same sizes. */
const passing: OpKind = {
  relate(op) {
    broadcast(op, [op.input(0)], op.input(0).content);
  },
};

/** What an op makes of sizes, which may be symbols. */
type Compute = (name: string, sizes: Dim[]) => Dim;

/** Elementwise, also on the few elements that shapes are computed from. */
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
  if (contents.length === 0 || contents.length < values.length) return undefined;
  if (values.some(({ axes }) => axes.length > 1)) return undefined;
  const length = Math.max(...contents.map(({ elements }) => elements.length));
  if (contents.some(({ elements }) => ![1, length].includes(elements.length))) return undefined;
  const elements = Array.from({ length }, (_, i) =>
    compute(
      name,
      contents.map(({ elements: all }) => all[all.length === 1 ? 0 : i]!),
    ),
  );
  const shapesOf = contents.flatMap((content) => content.shapesOf);
  return { elements, shapesOf, isInt64: contents.at(-1)!.isInt64 && !(name in TESTS) };
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

/** 1 where it holds, else 0. */
const holds =
  (test: (a: number, b: number) => boolean): Compute =>
  (name, sizes) =>
    derived(name, sizes, (a, b) => Number(test(a!, b!)));

/** Whose results are no numbers. */
const TESTS: Record<string, Compute> = {
  And: holds((a, b) => a !== 0 && b !== 0),
  Equal: equal,
  Greater: holds((a, b) => a > b),
  GreaterOrEqual: holds((a, b) => a >= b),
  Less: holds((a, b) => a < b),
  LessOrEqual: holds((a, b) => a <= b),
  Or: holds((a, b) => a !== 0 || b !== 0),
};

const where: Compute = (name, [condition, a, b]) => {
  if (typeof condition === 'number') return condition ? a! : b!;
  return `${name}(${condition},${a},${b})`;
};

export const SIZES: Record<string, OpKind> = {
  ...Object.fromEntries(Object.entries(TESTS).map(([name, test]) => [name, computed(test)])),
  Add: computed(arithmetic((a, b) => a + b)),
  Cast: cast,
  CastLike: cast,
  Ceil: settled(Math.ceil),
  Div: computed(arithmetic((a, b) => a / b)),
  Floor: settled(Math.floor),
  Identity: passing,
  Mod: computed(arithmetic((a, b) => ((a % b) + b) % b)),
  Mul: computed(times),
  Not: settled((value) => (value === 0 ? 1 : 0)),
  Sub: computed(arithmetic((a, b) => a - b)),
  Where: computed(where),
};
