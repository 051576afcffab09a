/** Rewrites a graph after some of its units are gone. */
import { create } from '@bufbuild/protobuf';

import type { Axes, Axis } from './axes';
import type { NodeProto, TensorProto } from './onnx/onnx_pb';
import { AttributeProtoSchema, NodeProtoSchema, TensorProtoSchema } from './onnx/onnx_pb';
import { INT64 } from './onnx/tensor';
import type { Op } from './op';
import type { Value } from './value';

/** AttributeProto.AttributeType. */
const INT = 2;
const TENSOR = 4;
const INTS = 7;

/** What an edit reads of a Network. */
interface Named {
  readonly axes: Axes;
  readonly values: ReadonlyMap<string, Value>;
}

/** A size that a node states: a number, or the element of that vector which it reads as its shape, or the size of another input's axis. */
export type Stated = number | { input: number; at: number };

export class Edit {
  /** Constants that nodes read instead of sizes that were. */
  readonly added: NodeProto[] = [];
  private next = 0;
  private readonly around = new Map<NodeProto, { before: NodeProto[]; after: NodeProto[] }>();
  private readonly kept = new Map<Axis, readonly number[]>();

  constructor(
    private readonly network: Named,
    private readonly gone: ReadonlySet<number>,
  ) {}

  /** The slots of an axis that stay. */
  keptOf(axis: Axis): readonly number[] {
    let kept = this.kept.get(axis);
    if (!kept) {
      const all = Array.from({ length: this.network.axes.size(axis) }, (_, i) => i);
      kept = all.filter((i) => !this.gone.has(this.network.axes.unit(axis, i)));
      this.kept.set(axis, kept);
    }
    return kept;
  }

  size(axis: Axis): number {
    return this.keptOf(axis).length;
  }

  /** The new size of a value's axis, where it is a number. */
  sizeAt({ dims, axes }: Value, position: number): number {
    const size = dims![position];
    return axes[position]! < 0 || typeof size === 'string'
      ? Number(size)
      : this.size(axes[position]!);
  }

  hasChanged({ axes }: Pick<Value, 'axes'>, positions = axes.map((_, i) => i)): boolean {
    return positions.some((i) => this.size(axes[i]!) < this.network.axes.size(axes[i]!));
  }

  /** How many positions before that one stay. */
  before({ axes }: Value, position: number, index: number): number {
    const axis = axes[position]!;
    return axis < 0 ? index : this.keptOf(axis).filter((slot) => slot < index).length;
  }

  /** The attribute is the size of that axis. */
  setSize({ node }: Op, name: string, axis: Axis | undefined): void {
    if (axis === undefined || !this.hasChanged({ axes: [axis] })) return;
    this.set(node, name, { type: INT, i: BigInt(this.size(axis)) });
  }

  setInts(op: Op, name: string, values: number[]): void {
    this.set(op.node, name, { type: INTS, ints: values.map(BigInt) });
  }

  remove(op: Op, name: string): void {
    op.node.attribute = op.node.attribute.filter((attribute) => attribute.name !== name);
  }

  /** The node reads these numbers instead. */
  setInput(op: Op, index: number, values: readonly number[]): void {
    const { input } = op.node;
    while (input.length <= index) input.push('');
    input[index] = this.constant(values, [values.length]);
  }

  /** The node reads these sizes instead. */
  setSizes(op: Op, index: number, sizes: readonly Stated[]): void {
    if (sizes.every((size) => typeof size === 'number')) this.setInput(op, index, sizes);
    else op.node.input[index] = this.assembled(op, index, sizes);
  }

  /** The name of a vector of numbers and of sizes that are known only in a run. */
  private assembled(op: Op, index: number, sizes: readonly Stated[]): string {
    const { before } = this.beside(op);
    const numbers = sizes.map((size) => (typeof size === 'number' ? size : 0));
    const parts = [this.constant(numbers, [numbers.length])];
    const starts = new Map<number, number>();
    let length = numbers.length;
    const from = (input: number): number => {
      if (!starts.has(input)) {
        starts.set(input, length);
        length += input === index ? sizes.length : op.inputs[input]!.axes.length;
        parts.push(input === index ? op.node.input[index]! : this.shapeOf(op, input));
      }
      return starts.get(input)!;
    };
    const places = sizes.map((size, i) =>
      typeof size === 'number' ? i : from(size.input) + size.at,
    );
    const [all, stated] = [this.name(), this.name()];
    const axis = create(AttributeProtoSchema, { name: 'axis', type: INT, i: 0n });
    before.push(
      create(NodeProtoSchema, { opType: 'Concat', input: parts, output: [all], attribute: [axis] }),
      gathered([all, this.constant(places, [places.length])], stated, 0),
    );
    return stated;
  }

  private shapeOf(op: Op, input: number): string {
    const shape = this.name();
    this.beside(op).before.push(
      create(NodeProtoSchema, { opType: 'Shape', input: [op.node.input[input]!], output: [shape] }),
    );
    return shape;
  }

  /** States of the caller's have the size that they had. */
  keepOutside(op: Op): void {
    for (const { input, output, position, axis } of op.outside) {
      this.narrow(op, input, position, axis);
      this.widen(op, output, position, axis);
    }
  }

  /** The node reads of that input's axis, which keeps its size, only the positions that stay on another axis of that size. */
  private narrow(op: Op, index: number, position: number, axis: Axis): void {
    const { input } = op.node;
    if (!input[index] || !this.hasChanged({ axes: [axis] })) return;
    const kept = this.constant([...this.keptOf(axis)], [this.size(axis)]);
    const read = this.name();
    this.beside(op).before.push(gathered([input[index], kept], read, position));
    input[index] = read;
  }

  /** The node's output keeps its size: positions that are gone on the axis are zeros. */
  private widen(op: Op, index: number, position: number, axis: Axis): void {
    const { output } = op.node;
    const value = op.outputs[index];
    if (!value || !output[index] || !this.hasChanged({ axes: [axis] })) return;
    const kept = this.keptOf(axis);
    const all = Array.from({ length: this.network.axes.size(axis) }, (_, i) => kept.indexOf(i));
    // One zero behind what is left.
    const pads = [...value.axes.map(() => 0), ...value.axes.map((_, i) => Number(i === position))];
    const [made, padded] = [this.name(), this.name()];
    const places = all.map((at) => (at < 0 ? kept.length : at));
    this.beside(op).after.push(
      create(NodeProtoSchema, {
        opType: 'Pad',
        input: [made, this.constant(pads, [pads.length])],
        output: [padded],
      }),
      gathered([padded, this.constant(places, [places.length])], output[index], position),
    );
    output[index] = made;
  }

  /** The nodes with those that were put around them. */
  placed(nodes: readonly NodeProto[]): NodeProto[] {
    return nodes.flatMap((node) => {
      const { before, after } = this.around.get(node) ?? { before: [], after: [] };
      return [...before, node, ...after];
    });
  }

  private beside({ node }: Op) {
    const known = this.around.get(node) ?? { before: [], after: [] };
    this.around.set(node, known);
    return known;
  }

  /** The name of a new constant, int64. */
  constant(values: readonly number[], dims: number[]): string {
    const int64Data = values.map(int64);
    return this.add(
      create(TensorProtoSchema, { dims: dims.map(BigInt), dataType: INT64, int64Data }),
    );
  }

  /** The name of a new constant. */
  add(t: TensorProto): string {
    const name = this.name();
    const attribute = [create(AttributeProtoSchema, { name: 'value', type: TENSOR, t })];
    this.added.push(create(NodeProtoSchema, { opType: 'Constant', output: [name], attribute }));
    return name;
  }

  private name(): string {
    let name: string;
    do name = `struprune.${this.next++}`;
    while (this.network.values.has(name));
    return name;
  }

  private set(node: NodeProto, name: string, value: { type: number; i?: bigint; ints?: bigint[] }) {
    const known = node.attribute.find((attribute) => attribute.name === name);
    if (known) Object.assign(known, value);
    else node.attribute.push(create(AttributeProtoSchema, { name, ...value }));
  }
}

function gathered(input: string[], output: string, position: number): NodeProto {
  const attribute = [
    create(AttributeProtoSchema, { name: 'axis', type: INT, i: BigInt(position) }),
  ];
  return create(NodeProtoSchema, { opType: 'Gather', input, output: [output], attribute });
}

/** Ends that are meant as "to the last" are the largest int64, which no number is. */
function int64(value: number): bigint {
  return value >= 2 ** 63 ? 2n ** 63n - 1n : BigInt(value);
}
