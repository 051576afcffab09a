/** How much of a network's maps can shrink, and what holds the rest. */
import { elements } from '../../model/axes';
import type { NodeProto, TensorProto } from './onnx/onnx_pb';
import { DOUBLE, dimsOf, FLOAT, FLOAT16 } from './onnx/tensor';
import { captured, type Network } from './relate';
import type { Value } from './value';

/** Elements of maps: of convolutions, products and recurrent layers. */
export interface Weights {
  all: number;
  /** With an axis that can shrink without changing the others' values. */
  exact: number;
  /** With an axis that can shrink, but only one that something else is computed across. */
  mixed: number;
  /** The rest, by the reasons why its axes stay. */
  pinned: Map<string, number>;
}

/** Ops whose constants are maps, where they are not understood too. */
const OPS = [
  ...[
    'Attention',
    'Conv',
    'ConvTranspose',
    'DeformConv',
    'Einsum',
    'GRU',
    'Gemm',
    'LSTM',
    'MatMul',
    'RNN',
  ],
];

const FLOATS = [FLOAT, FLOAT16, DOUBLE];

/** A table that is looked up multiplies nothing. */
export function multiplies({ node }: Network['roles'][number]): boolean {
  return node.opType !== 'Gather';
}

/** By their names, those that nodes inside of nodes read among them. */
export function mapsOf(network: Network): Map<string, Value> {
  const { roles, unknown, values } = network;
  const stored = storedBy(network);
  const nodes = unknown.map(({ node }) => node).filter(({ opType }) => OPS.includes(opType));
  const read = nodes.flatMap(({ input }) => input.map((name) => values.get(name)));
  const maps = read.filter((value) => value?.constant && (value.dims?.length ?? 0) > 1) as Value[];
  const multiplied = roles.filter(multiplies).map(({ map }) => map);
  const all = [...[...multiplied, ...maps].flatMap(stored), ...unknown.flatMap(inside(network))];
  return new Map(all.map((map) => [map.name, map]));
}

/** Matrices of floats in the graphs of a node, as in those of an If: they stay. */
function inside({ axes, values }: Network): (unknown: Network['unknown'][number]) => Value[] {
  const isMatrix = ({ dataType, dims }: TensorProto) =>
    FLOATS.includes(dataType) && dims.length > 1;
  return ({ node, why }) => {
    const reason = axes.fixed(`${node.opType}: ${why}`);
    const own = tensorsInside(node)
      .filter(isMatrix)
      .map((tensor, i) => {
        const dims = dimsOf(tensor);
        const name = `${node.output[0]}: ${i}`;
        return { name, dims, axes: dims.map(() => reason), constant: true, tensor };
      });
    const outer = captured(node).map((name) => values.get(name));
    return [...own, ...outer.filter((value) => value?.tensor && isMatrix(value.tensor))] as Value[];
  };
}

function tensorsInside({ attribute }: NodeProto): TensorProto[] {
  const graphs = attribute.flatMap(({ g, graphs: more }) => (g ? [g, ...more] : more));
  return graphs.flatMap(({ initializer, node }) => [
    ...initializer,
    ...node.flatMap((each) => tensorsInside(each)),
    ...node.flatMap((each) => (each.opType === 'Constant' ? (each.attribute[0]?.t ?? []) : [])),
  ]);
}

/** Of a constant that is only turned or cast, the tensor that the file holds; else the constant itself. */
export function storedBy({ ops }: Network): (value: Value) => Value[] {
  const makers = new Map(ops.flatMap(({ op }) => op.outputs.map(({ name }) => [name, op])));
  const size = ({ dims }: Value) => elements((dims ?? []).map(Number));
  const stored = (value: Value): Value[] => {
    const inputs = value.tensor ? [] : (makers.get(value.name)?.inputs ?? []);
    const same = inputs.filter((input) => input?.constant && size(input) === size(value));
    return same.length === 0 ? [value] : (same as Value[]).flatMap(stored);
  };
  return stored;
}

export function weightsOf(network: Network): Weights {
  const { axes } = network;
  const weights: Weights = { all: 0, exact: 0, mixed: 0, pinned: new Map() };
  for (const map of mapsOf(network).values()) {
    const size = elements((map.dims ?? []).map(Number));
    let [held, inexact] = [1, 1];
    const reasons = new Map<string, number>();
    for (const axis of map.axes) {
      const length = axes.size(axis);
      const fixed = length === 0 ? axes.heldBy(axis) : undefined;
      if (fixed !== undefined) reasons.set(fixed, 1);
      let [pinned, mixed] = [0, 0];
      for (let i = 0; i < length; i++) {
        const unit = axes.unit(axis, i);
        const reason = axes.pinnedBy(unit);
        if (reason !== undefined) {
          pinned++;
          reasons.set(reason, (reasons.get(reason) ?? 0) + 1 / length);
        } else if (axes.mixedBy(unit) !== undefined) mixed++;
      }
      held *= length === 0 ? 1 : pinned / length;
      inexact *= length === 0 ? 1 : (pinned + mixed) / length;
    }
    weights.all += size;
    weights.exact += size * (1 - inexact);
    weights.mixed += size * (inexact - held);
    share(weights.pinned, reasons, size * held);
  }
  return weights;
}

/** Splits what is held among its reasons. */
function share(pinned: Weights['pinned'], reasons: Map<string, number>, weights: number): void {
  if (weights === 0) return;
  const total = [...reasons.values()].reduce((a, b) => a + b, 0);
  for (const [reason, part] of reasons) {
    pinned.set(reason, (pinned.get(reason) ?? 0) + (weights * part) / total);
  }
}
