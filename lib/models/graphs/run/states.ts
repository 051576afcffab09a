/** States of recurrent layers: what each step reads of the one before. */
import type { OnnxFile } from '../onnx/file';
import type { NodeProto, TensorProto } from '../onnx/onnx_pb';
import type { Op } from '../op';
import { GATES } from '../ops/recurrent';
import type { Value } from '../value';
import { gatedStates } from './gated';
import { inOrder, type PlacesOf, type ReaderUse } from './patches';

/** Positions among a layer's inputs of what it begins with: the state, and the cells of an LSTM. */
const BEGINS = [5, 6];

/** Rows of the recurrent map that read one thing, and what that is, by direction. */
export interface StateRows {
  /** Rows [from, to) of each unit's: gates. */
  from: number;
  to: number;
  uses(direction: number): ReaderUse[];
}

/**
 * Of a layer with outputs `all` [steps, directions, batch, units]: where the rows of its recurrent map come from. A text: why that
 * is not known.
 */
export function statesBefore(op: Op, all: Value): StateRows[] | string {
  if (op.int('layout', 0) === 1) return 'its batch comes first';
  const first = op.inputs[BEGINS[0]!];
  if (first?.constant) return 'it begins with a constant state';
  const isBack = op.text('direction', 'forward') === 'reverse';
  const goesBack = (direction: number) => isBack || direction === 1;
  const states = (direction: number): ReaderUse[] => {
    const outer = stepBefore(direction, goesBack(direction), first === undefined);
    const read = { channel: 0, places: inOrder };
    const own = { ...read, activation: all.name, axis: 3, outer };
    if (!first) return [own];
    return [own, { ...read, activation: first.name, axis: 2, outer: ofDirection(direction) }];
  };
  const gates = GATES[op.node.opType]!;
  const isGated = op.node.opType === 'GRU' && op.int('linear_before_reset', 0) === 0;
  if (!isGated) return [{ from: 0, to: gates, uses: states }];
  if (op.has('activations') || op.has('clip')) return 'a gate of its own kind comes before its map';
  const gated = (direction: number): ReaderUse[] => {
    const made = gatedStates(op, all, direction, goesBack(direction));
    return [{ activation: made.activation, axis: 2, channel: 0, places: inOrder, made }];
  };
  return [
    { from: 0, to: gates - 1, uses: states },
    { from: gates - 1, to: gates, uses: gated },
  ];
}

/** Of every step the one before it; of the first one zeros, or nothing. */
function stepBefore(direction: number, goesBack: boolean, withFirst: boolean): PlacesOf {
  return ([steps, directions, batch]) => {
    const times = Array.from({ length: steps! }, (_, i) => (goesBack ? steps! - 1 - i : i));
    const before = [...(withFirst ? [-1] : []), ...times.slice(0, -1)];
    const rows = before.flatMap((step) =>
      Array.from({ length: batch! }, (_, b) =>
        step < 0 ? -1 : (step * directions! + direction) * batch! + b,
      ),
    );
    return Int32Array.from(rows);
  };
}

function ofDirection(direction: number): PlacesOf {
  return ([, batch]) => Int32Array.from({ length: batch! }, (_, b) => direction * batch! + b);
}

/** Recurrent layers of a graph, so that their units can be followed; to be called before the axes are related. */
export class Recurrent {
  /** Layers whose outputs of all steps had no name: their last step alone is read. */
  private readonly shown: NodeProto[] = [];

  /** Names those outputs, and leaves out states of zeros, which are what a layer begins with anyway. */
  static prepare(file: OnnxFile): Recurrent {
    const { node } = file.model.graph!;
    const zeros = new Zeros(file);
    const recurrent = new Recurrent();
    for (const layer of node.filter(({ domain, opType }) => domain === '' && opType in GATES)) {
      for (const at of BEGINS) if (zeros.has(layer.input[at] ?? '')) layer.input[at] = '';
      if (layer.output[0] !== '') continue;
      layer.output[0] = `struprune.states.${recurrent.shown.length}`;
      recurrent.shown.push(layer);
    }
    return recurrent;
  }

  /** Takes the names away again. */
  hide(): void {
    for (const layer of this.shown) layer.output[0] = '';
  }
}

/** Ops that move elements of their first input. */
const MOVES = [
  'Cast',
  'Expand',
  'Identity',
  'Reshape',
  'Slice',
  'Squeeze',
  'Transpose',
  'Unsqueeze',
];

/** Such ops between a state and its zeros; exporters write a handful. */
const MOST_MOVES = 64;

/** Which values are nothing but zeros, whatever is read: exporters write states so. */
class Zeros {
  private readonly tensors: ReadonlyMap<string, TensorProto>;
  private readonly makers: ReadonlyMap<string, NodeProto>;
  private readonly known = new Map<string, boolean>();

  constructor(private readonly file: OnnxFile) {
    const { initializer, node, input } = file.model.graph!;
    const given = new Set(input.map(({ name }) => name));
    const fixed = initializer.filter(({ name }) => !given.has(name));
    this.tensors = new Map(fixed.map((tensor) => [tensor.name, tensor]));
    this.makers = new Map(node.flatMap((each) => each.output.map((name) => [name, each])));
  }

  /** `depth`: ops behind that are looked through: a file may have as many as it likes, and may lead round in a circle. */
  has(name: string, depth = MOST_MOVES): boolean {
    if (depth === 0) return false;
    if (!this.known.has(name)) this.known.set(name, false).set(name, this.isZero(name, depth - 1));
    return this.known.get(name)!;
  }

  private isZero(name: string, depth: number): boolean {
    const tensor = this.tensors.get(name);
    if (tensor) return this.isEmpty(tensor);
    const made = this.makers.get(name);
    if (made?.domain !== '') return false;
    const value = made.attribute.find((each) => each.name === 'value')?.t;
    if (made.opType === 'ConstantOfShape') return value === undefined || this.isEmpty(value);
    if (made.opType === 'Constant') return value !== undefined && this.isEmpty(value);
    if (made.opType === 'Concat') return made.input.every((each) => this.has(each, depth));
    return MOVES.includes(made.opType) && this.has(made.input[0]!, depth);
  }

  private isEmpty(tensor: TensorProto): boolean {
    const data = this.file.data(tensor);
    return data.read(0, data.length).every((byte) => byte === 0);
  }
}
