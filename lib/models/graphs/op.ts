/** What an entry of the op table is given: a node, and the words to say how its axes belong together. */
import { type Axes, type Axis, NONE } from './axes';
import { type Dim, factorOf } from './dims';
import type { AttributeProto, NodeProto, TensorProto } from './onnx/onnx_pb';
import type { Content, Value } from './value';

/** Thrown where an op is used in a way that its entry does not know: everything that the node touches is pinned. */
export class NotUnderstood extends Error {}

/** How a map's axis is used: `reads` is contracted with an axis of `by`, `writes` becomes an axis of the node's output. */
export interface Role {
  kind: 'reads' | 'writes';
  node: NodeProto;
  /** The map: a constant, or computed from one. */
  map: Value;
  /** Of the map, or what a group has of one. */
  axis: Axis;
  /** What is read or written, and along which of its axes. */
  by: Value;
  position: number;
}

/** A value's axis, by its position. */
export type Place = readonly [value: Value, position: number];

/** Why inputs of a model stay. */
export const GIVEN = 'an input of the model';

/** A state that is the caller's: the same axis of an input and of an output of the node, which the node knows as `axis`. */
export interface Outside {
  input: number;
  output: number;
  position: number;
  axis: Axis;
}

export interface Surroundings {
  axes: Axes;
  opset: number;
  roles: Role[];
  /** Axes of attention heads: each position is multiplied with that of another activation by itself. */
  heads: Axis[];
  /** Outputs of the model that are states of its nodes, for the caller to give again. */
  states: Set<string>;
  /** Outputs of the model that a value is only passed on to; none where anything computes with it. */
  passedTo(name: string): string[];
}

export class Op {
  readonly outputs: Value[] = [];
  /** Axes that the node's attributes are the sizes of, for `rewrite`. */
  readonly axes: Record<string, Axis> = {};
  /** Inputs and outputs that are the caller's and keep their size, for `rewrite`. */
  readonly outside: Outside[] = [];
  private readonly attributes: Map<string, AttributeProto>;

  constructor(
    readonly node: NodeProto,
    readonly inputs: readonly (Value | undefined)[],
    private readonly around: Surroundings,
  ) {
    this.attributes = new Map(node.attribute.map((attribute) => [attribute.name, attribute]));
  }

  get opset(): number {
    return this.around.opset;
  }

  /** @throws NotUnderstood where there is none */
  input(index: number): Value {
    return this.inputs[index] ?? this.refuse(`input ${index} is missing`);
  }

  /** An input of known rank, of that many axes at least. */
  shaped(index: number, least = 0): Value & { dims: readonly Dim[] } {
    const value = this.input(index);
    if (!value.dims) return this.refuse(`the shape of ${value.name} is not known`);
    if (value.dims.length < least) this.refuse(`${value.name} has too few axes`);
    return value as Value & { dims: readonly Dim[] };
  }

  has(name: string): boolean {
    return this.attributes.has(name);
  }

  int<T>(name: string, otherwise: T): number | T {
    const attribute = this.attributes.get(name);
    return attribute ? Number(attribute.i) : otherwise;
  }

  ints<T>(name: string, otherwise: T): number[] | T {
    return this.attributes.get(name)?.ints.map(Number) ?? otherwise;
  }

  text(name: string, otherwise: string): string {
    const attribute = this.attributes.get(name);
    return attribute ? new TextDecoder().decode(attribute.s) : otherwise;
  }

  tensor(name: string): TensorProto | undefined {
    return this.attributes.get(name)?.t;
  }

  /** The elements of an input that must be numbers. */
  numbers(index: number): number[] {
    const elements = this.inputs[index]?.content?.elements;
    if (!elements?.every((element) => typeof element === 'number')) {
      return this.refuse(`input ${index} is not a constant`);
    }
    return elements;
  }

  /** An axis counted from the front. */
  position(axis: number, rank: number): number {
    const position = axis < 0 ? axis + rank : axis;
    if (position < 0 || position >= rank) return this.refuse(`axis ${axis} of rank ${rank}`);
    return position;
  }

  refuse(why: string): never {
    throw new NotUnderstood(why);
  }

  /** Whether a state comes from the caller, along that axis, and what becomes of it (an output of the node) goes back to the caller alone. */
  isOutside(before: Place, after: Value | undefined): boolean {
    if (this.around.axes.heldBy(at(before)) !== GIVEN) return false;
    if (!after || after.name === '') return true;
    const outputs = this.around.passedTo(after.name);
    for (const name of outputs) this.around.states.add(name);
    return outputs.length > 0;
  }

  /** An axis that no value has. */
  axis(size: number): Axis {
    return this.around.axes.add(size);
  }

  /** The next output: its dims, and of each the axes that it is the same as. */
  output(
    dims: readonly Dim[],
    same: readonly (Place | undefined)[] = [],
    content?: Content,
  ): Value {
    if (dims.includes(undefined as never)) this.refuse('an input has too few axes');
    const name = this.node.output[this.outputs.length] ?? '';
    const constant = this.inputs.every((input) => !input || input.constant);
    const axes = dims.map((dim) => this.axisOf(dim));
    const value: Value = { name, dims, axes, content, constant };
    same.forEach((place, i) => {
      if (place) this.join([value, i], place);
    });
    this.outputs.push(value);
    return value;
  }

  private axisOf(dim: Dim): Axis {
    if (typeof dim === 'number') return this.axis(dim);
    const each = factorOf(dim);
    return each > 1 ? this.around.axes.addRepeated(each) : NONE;
  }

  join(a: Place, b: Place): void {
    this.around.axes.join(at(a), at(b));
  }

  /** `length` positions of a from `fromA` on with those of b. Not a number: both are pinned. */
  joinRun(a: Place, fromA: number, b: Place, fromB: number, length: number): void {
    this.around.axes.joinRun(at(a), fromA, at(b), fromB, length);
  }

  /** New axes of those lengths, which the place's consists of one after the other. */
  cut(place: Place, lengths: readonly number[]): Axis[] {
    let start = 0;
    return lengths.map((length) => {
      const part = this.axis(length);
      this.around.axes.joinRun(at(place), start, part, 0, length);
      start += length;
      return part;
    });
  }

  joinAxes(a: Axis, b: Axis): void {
    this.around.axes.join(a, b);
  }

  /** The axis is the product of those, the slowest first, of which `preferred` shrinks where several could. */
  factor(flat: Axis, factors: Axis[], preferred = 0): void {
    this.around.axes.factor(flat, factors, preferred);
  }

  pin(place: Place, reason: string, from?: number, length?: number): void {
    this.around.axes.pin(at(place), `${this.node.opType}: ${reason}`, from, length);
  }

  pinAxis(axis: Axis, reason: string): void {
    this.around.axes.pin(axis, `${this.node.opType}: ${reason}`);
  }

  /** The shapes that the sizes in an input were read off. */
  pinSources(index: number, reason: string): void {
    for (const value of this.inputs[index]?.content?.shapesOf ?? []) this.pinAll(value, reason);
  }

  /** These too, and the value that has those sizes. */
  pinSizes(index: number, value: Value, reason: string): void {
    this.pinAll(value, reason);
    this.pinSources(index, reason);
  }

  pinAll(value: Value, reason: string): void {
    for (const axis of value.axes) this.around.axes.pin(axis, `${this.node.opType}: ${reason}`);
  }

  /** Heads of an attention lie along the axis. */
  head(axis: Axis): void {
    this.around.heads.push(axis);
  }

  /** Something is computed across the axis. */
  mix(place: Place, reason: string): void {
    this.around.axes.mix(at(place), `${this.node.opType} ${reason}`);
  }

  mixAxis(axis: Axis, reason: string): void {
    this.around.axes.mix(axis, `${this.node.opType} ${reason}`);
  }

  /** The map's axis is contracted with that of the input. */
  reads(map: Place, by: Place): void {
    this.join(map, by);
    this.role('reads', map, by);
  }

  /** The map's axis becomes that of the output. */
  writes(map: Place, by: Place): void {
    this.join(map, by);
    this.role('writes', map, by);
  }

  /** `axis`: of what of the map, where that is none of its own axes. */
  role(kind: Role['kind'], map: Place, [by, position]: Place, axis = at(map)): void {
    this.around.roles.push({ kind, node: this.node, map: map[0], axis, by, position });
  }
}

export function at([value, position]: Place): Axis {
  return value.axes[position]!;
}
