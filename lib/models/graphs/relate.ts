/** Walks the nodes of a graph once and says of all axes how they belong together. */

import { StruPruneError } from '../../errors';
import { Axes, type Axis } from './axes';
import { constantNode, constantOf, dimsStated } from './constants';
import type { Dim } from './dims';
import { naming, type OnnxFile } from './onnx/file';
import type { GraphProto, NodeProto, ValueInfoProto } from './onnx/onnx_pb';
import { malformed } from './onnx/wire';
import { GIVEN, NotUnderstood, Op, type Role, type Surroundings } from './op';
import { kindOf } from './ops';
import type { OpKind } from './ops/kind';
import type { Value } from './value';

const OLDEST_OPSET = 11;
const NEWEST_OPSET = 26;

/** A node that the op table does not know, or not used like this. */
export interface Unknown {
  node: NodeProto;
  why: string;
}

/**
 * Another use of a constant vector, with axes of its own: exporters store equal biases once, which says nothing of the layers
 * that add them.
 */
export interface Copy {
  node: NodeProto;
  input: number;
  value: Value;
}

/** A graph whose axes are known. */
export interface Network {
  file: OnnxFile;
  graph: GraphProto;
  axes: Axes;
  values: ReadonlyMap<string, Value>;
  ops: { op: Op; kind: OpKind | undefined }[];
  copies: Copy[];
  roles: Role[];
  /** Axes of attention heads. */
  heads: Axis[];
  unknown: Unknown[];
  /** Outputs that are states, for the caller to give again as inputs. */
  states: ReadonlySet<string>;
}

const BEHIND = ', and shapes behind it are not known';

/** Values that a state is followed through: exporters write a handful. */
const MOST_PASSED = 256;

/** Ops that move elements and compute nothing. */
const PASSING = [
  ...['Cast', 'Concat', 'Flatten', 'Identity', 'Reshape', 'Squeeze', 'Transpose', 'Unsqueeze'],
];

/** @throws StruPruneError ERR_CHECKPOINT, ERR_UNSUPPORTED for an opset that this program does not know */
export function relate(file: OnnxFile): Network {
  return naming(file.path, () => related(file));
}

function related(file: OnnxFile): Network {
  const relation = new Relation(file);
  relation.constants();
  relation.inputs();
  for (const node of relation.graph.node) {
    if (node.opType === 'Constant' && node.domain === '') relation.constantNode(node);
    else relation.node(node);
  }
  relation.outputs();
  relation.axes.decide();
  return relation;
}

class Relation implements Network, Surroundings {
  readonly graph: GraphProto;
  readonly axes: Axes;
  readonly values = new Map<string, Value>();
  readonly ops: Network['ops'] = [];
  readonly copies: Copy[] = [];
  readonly roles: Role[] = [];
  readonly heads: Axis[] = [];
  readonly unknown: Unknown[] = [];
  readonly states = new Set<string>();
  readonly opset: number;
  private readonly shapes = new Map<string, readonly Dim[] | undefined>();
  /** Vectors that a node reads. */
  private readonly used = new Set<Value>();
  /** Ops that the file defines itself. */
  private readonly own: ReadonlySet<string>;
  /** By value of which not even the rank is known: why not. */
  private readonly hidden = new Map<string, string>();
  /** By value the nodes that read it. */
  private readonly readers = new Map<string, NodeProto[]>();

  constructor(readonly file: OnnxFile) {
    this.graph = file.model.graph!;
    this.axes = new Axes(file.bytes);
    this.opset = opsetOf(file);
    this.own = new Set(file.model.functions.map(({ domain, name }) => `${domain}:${name}`));
    const { input, output, valueInfo } = this.graph;
    for (const info of [...valueInfo, ...output, ...input])
      this.shapes.set(info.name, dimsStated(info));
    for (const node of this.graph.node) {
      for (const name of new Set([...node.input, ...captured(node)])) {
        const readers = this.readers.get(name) ?? [];
        this.readers.set(name, readers);
        readers.push(node);
      }
    }
  }

  passedTo(name: string): string[] {
    const seen = new Set([name]);
    for (const each of seen) {
      if (seen.size > MOST_PASSED) return [];
      for (const { domain, opType, output } of this.readers.get(each) ?? []) {
        if (domain !== '' || !PASSING.includes(opType)) return [];
        for (const next of output) seen.add(next);
      }
    }
    return this.graph.output.map((output) => output.name).filter((each) => seen.has(each));
  }

  constants(): void {
    for (const tensor of this.graph.initializer) {
      this.add(constantOf(this.file, tensor, tensor.name, this.axes));
    }
  }

  constantNode(node: NodeProto): void {
    this.add(constantNode(this.file, node, this.axes));
  }

  inputs(): void {
    for (const { name } of this.graph.input) {
      if (!this.values.has(name)) this.opaque(name, GIVEN);
    }
  }

  outputs(): void {
    for (const { name } of this.graph.output) this.hold(this.known(name), 'an output of the model');
  }

  node(node: NodeProto): void {
    const inputs = node.input.map((name, i) => (name === '' ? undefined : this.read(node, i)));
    const op = new Op(node, inputs, this);
    const kind = this.own.has(`${node.domain}:${node.opType}`) ? undefined : kindOf(node);
    try {
      if (!kind) throw new NotUnderstood('not in the op table');
      kind.relate(op);
      this.requireFollowed(op, kind);
      for (const output of op.outputs) if (output.name !== '') this.add(output);
      if (node.output.length > op.outputs.length) op.refuse('it has more outputs than are known');
      this.ops.push({ op, kind });
    } catch (error) {
      if (!(error instanceof NotUnderstood)) throw error;
      this.giveUp(op, error.message);
    }
  }

  /** Sizes that only a run can know must end where sizes are stated anew; elsewhere they must not change. */
  private requireFollowed(op: Op, kind: OpKind): void {
    if (op.outputs.some(({ content }) => content)) return;
    op.inputs.forEach((input, i) => {
      const { elements, shapesOf } = input?.content ?? { elements: [], shapesOf: [] };
      if (kind.sizes?.includes(i) || elements.every((size) => typeof size === 'number')) return;
      for (const value of shapesOf) this.pin(value, 'a shape that is computed with');
    });
  }

  private giveUp(op: Op, why: string): void {
    const { node } = op;
    // Of nodes behind one that is not understood the first is what users ask for.
    const first = node.input.map((name) => this.hidden.get(name)).find((each) => each);
    const reason = first ?? `${node.opType}: ${why}`;
    this.unknown.push({ node, why });
    this.ops.push({ op, kind: undefined });
    for (const input of op.inputs) if (input) this.hold(input, reason);
    for (const name of captured(node)) {
      const value = this.values.get(name);
      if (value) this.hold(value, reason);
    }
    for (const name of node.output) {
      const known = this.values.get(name);
      if (known) this.pin(known, reason);
      else if (name !== '') this.opaque(name, reason);
    }
  }

  /** A value of which no more is known than the file states. */
  private opaque(name: string, reason: string): void {
    const dims = this.shapes.get(name);
    if (!dims) this.hidden.set(name, reason.endsWith(BEHIND) ? reason : `${reason}${BEHIND}`);
    const axis = this.axes.fixed(reason);
    this.add({ name, dims, axes: (dims ?? []).map(() => axis), constant: false });
  }

  private add(value: Value): void {
    if (this.values.has(value.name)) throw malformed(`${value.name} is made twice`);
    this.values.set(value.name, value);
  }

  private known(name: string): Value {
    const value = this.values.get(name);
    if (value) return value;
    throw malformed(`${name} is read before anything makes it`);
  }

  /** A node's input. */
  private read(node: NodeProto, input: number): Value {
    const value = this.known(node.input[input]!);
    if (!value.tensor || !isVector(value)) return value;
    if (!this.used.has(value)) {
      this.used.add(value);
      return value;
    }
    const axes = value.dims!.map((dim) => this.axes.add(Number(dim)));
    const copy = { node, input, value: { ...value, axes } };
    this.copies.push(copy);
    return copy.value;
  }

  /** Pins the value, and the shapes that it was read off. */
  private hold(value: Value, reason: string): void {
    this.pin(value, reason);
    for (const source of value.content?.shapesOf ?? []) this.pin(source, reason);
  }

  private pin(value: Value, reason: string): void {
    for (const axis of value.axes) this.axes.pin(axis, reason);
  }
}

function opsetOf(file: OnnxFile): number {
  const entry = file.model.opsetImport.find(({ domain }) => domain === '' || domain === 'ai.onnx');
  const opset = Number(entry?.version ?? 1);
  if (opset >= OLDEST_OPSET && opset <= NEWEST_OPSET) return opset;
  throw new StruPruneError(
    'ERR_UNSUPPORTED',
    `the model is of opset ${opset}`,
    `convert it to one of ${OLDEST_OPSET} to ${NEWEST_OPSET}, as onnx.version_converter does`,
  );
}

/** Names that the graphs inside a node read. */
export function captured(node: NodeProto): string[] {
  const inner = node.attribute.flatMap(({ g, graphs }) => (g ? [g, ...graphs] : graphs));
  return inner.flatMap((graph) => [
    ...graph.node.flatMap((each) => [...each.input, ...captured(each)]),
    ...graph.output.map(({ name }: ValueInfoProto) => name),
  ]);
}

function isVector({ dims }: Value): boolean {
  return dims!.filter((dim) => dim !== 1).length === 1;
}
