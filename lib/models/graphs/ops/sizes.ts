/** Elementwise ops that exporters compute sizes with: what they make of axes, and of those sizes. */
import { type Dim, derived, product } from '../dims';
import { INT64 } from '../onnx/tensor';
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
    const isInt64 = op.int('to', undefined) === INT64;
    const elements = content?.elements.map((e) =>
      typeof e === 'number' && isInt64 ? Math.trunc(e) : e,
    );
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

export const SIZES: Record<string, OpKind> = {
  Add: computed(arithmetic((a, b) => a + b)),
  Cast: cast,
  CastLike: cast,
  Ceil: settled(Math.ceil),
  Div: computed(arithmetic((a, b) => a / b)),
  Equal: computed(equal),
  Floor: settled(Math.floor),
  Identity: passing,
  Mod: computed(arithmetic((a, b) => ((a % b) + b) % b)),
  Mul: computed(times),
  Sub: computed(arithmetic((a, b) => a - b)),
  Where: computed(where),
};
