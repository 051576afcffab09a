/** What the last map of a GRU reads where the reset gate comes first (linear_before_reset is 0): no value of the graph, so nodes of our own compute it. */
import { create } from '@bufbuild/protobuf';
import { attributesOf } from '../onnx/attributes';
import {
  AttributeProtoSchema,
  type GraphProto,
  type NodeProto,
  NodeProtoSchema,
  TensorProtoSchema,
} from '../onnx/onnx_pb';
import { INT64 } from '../onnx/tensor';
import type { Op } from '../op';
import type { Value } from '../value';
import type { Made, ReaderUse } from './patches';

/** AttributeProto.AttributeType. */
const TENSOR = 4;

/** Rows of the reset gate among those of all: update, reset, candidate. */
const RESET = 1;

/**
 * The states of the step before times their reset gates, `[steps, batch, units]`, of one direction of a layer that gives `all`
 * `[steps, directions, batch, units]`: r ⊙ h of the ONNX operator GRU, zeros at the first step where no state is given.
 */
export function gatedStates(op: Op, all: Value, direction: number, goesBack: boolean): Made {
  const { node } = op;
  const [x, w, r, bias = '', , first = ''] = node.input as [string, string, string];
  const units = Number(op.shaped(2).dims[2]);
  const build = new Builder(`struprune.${all.name}.${direction}`);
  const own = build.gather(all.name, direction, 1);
  const before = build.shifted(own, goesBack, first && build.gather(first, [direction], 0));
  const rows = (name: string, from: number) =>
    build.slice(build.gather(name, direction, 0), from * units, (from + 1) * units);
  const terms = [
    build.add('MatMul', [x, build.turned(rows(w, RESET))]),
    build.add('MatMul', [before, build.turned(rows(r, RESET))]),
    ...(bias ? [rows(bias, RESET), rows(bias, RESET + 3)] : []),
  ];
  const sum = terms.reduce((a, b) => build.add('Add', [a, b]));
  const activation = build.add('Mul', [build.add('Sigmoid', [sum]), before]);
  return { activation, behind: node, nodes: build.nodes };
}

/** Puts such nodes into the graph. Nothing of the graph reads them, and so none is written. */
export function placeMade(graph: GraphProto, uses: readonly ReaderUse[]): void {
  const made = uses.flatMap((use) => use.made ?? []);
  graph.node = graph.node.flatMap((node) => [
    node,
    ...made.filter(({ behind }) => behind === node).flatMap(({ nodes }) => nodes),
  ]);
}

/** Nodes one by one, their outputs named. */
class Builder {
  readonly nodes: NodeProto[] = [];

  constructor(private readonly name: string) {}

  add(opType: string, input: string[], attributes: Record<string, number | number[]> = {}): string {
    const attribute = attributesOf(attributes);
    return this.put(create(NodeProtoSchema, { opType, input, attribute }));
  }

  /** Of an axis one position, or those, whose axis stays. */
  gather(name: string, at: number | number[], axis: number): string {
    const indices = typeof at === 'number' ? this.constant([at], []) : this.constant(at);
    return this.add('Gather', [name, indices], { axis });
  }

  /** Positions [from, to) of the first axis. */
  slice(name: string, from: number, to: number): string {
    return this.add('Slice', [name, ...[[from], [to], [0]].map((each) => this.constant(each))]);
  }

  turned(name: string): string {
    return this.add('Transpose', [name], { perm: [1, 0] });
  }

  /** `[steps, batch, units]` one step later; earlier, where the layer goes back. `first`: `[1, batch, units]`; zeros where empty. */
  shifted(name: string, goesBack: boolean, first: string): string {
    const start = first || this.zeros(this.slice(name, 0, 1));
    const END = 2 ** 31 - 1;
    if (goesBack) return this.add('Concat', [this.slice(name, 1, END), start], { axis: 0 });
    return this.add('Concat', [start, this.slice(name, 0, -1)], { axis: 0 });
  }

  private zeros(name: string): string {
    return this.add('Sub', [name, name]);
  }

  private constant(values: number[], dims = [values.length]): string {
    const t = create(TensorProtoSchema, {
      dims: dims.map(BigInt),
      dataType: INT64,
      int64Data: values.map(BigInt),
    });
    const attribute = [create(AttributeProtoSchema, { name: 'value', type: TENSOR, t })];
    return this.put(create(NodeProtoSchema, { opType: 'Constant', attribute }));
  }

  private put(node: NodeProto): string {
    const output = `${this.name}.${this.nodes.length}`;
    this.nodes.push(Object.assign(node, { output: [output] }));
    return output;
  }
}
