/** Takes units out of a network: a smaller graph that computes the same without them. */
import { create } from '@bufbuild/protobuf';

import { Edit } from './edit';
import type { OnnxFile } from './onnx/file';
import {
  type GraphProto,
  type NodeProto,
  type TensorProto,
  TensorProtoSchema,
  type TypeProto,
  type ValueInfoProto,
} from './onnx/onnx_pb';
import type { Source } from './onnx/source';
import { elementBytes } from './onnx/tensor';
import { captured, type Network } from './relate';
import type { Site } from './sites';
import { Sliced } from './sliced';
import type { Value } from './value';

/** Of a site the units that stay, in ascending order. */
export type Choice = ReadonlyMap<Site, ArrayLike<number>>;

/** Changes the network's own file, which is then written. What is known of the network holds no longer. */
export function slice(network: Network, choice: Choice): void {
  const edit = new Edit(network, goneOf(choice));
  for (const { op, kind } of network.ops) kind?.rewrite?.(op, edit);
  foldShapes(network, edit);
  sliceCopies(network, edit);
  for (const value of network.values.values()) sliceConstant(network, value, edit);
  const { graph } = network;
  for (const info of [...graph.input, ...graph.output, ...graph.valueInfo]) {
    const value = network.values.get(info.name);
    if (value) restate(info, value, edit);
  }
  graph.node = [...edit.added, ...edit.placed(graph.node)];
  removeUnused(graph);
}

function goneOf(choice: Choice): Set<number> {
  const gone = new Set<number>();
  for (const [site, units] of choice) {
    const kept = new Set(Array.from(units));
    site.classes.forEach((unit, i) => {
      if (!kept.has(i)) gone.add(unit);
    });
  }
  return gone;
}

/** A size that was read off a shape that has changed stays what it was, where nothing states it anew. */
function foldShapes(network: Network, edit: Edit): void {
  const folded = new Map<string, string>();
  for (const { name, content, dims } of network.values.values()) {
    const isNumbers = content?.elements.every((element) => typeof element === 'number');
    if (!isNumbers || !content!.isInt64) continue;
    if (!content!.shapesOf.some((value) => edit.hasChanged(value))) continue;
    folded.set(name, edit.constant(content!.elements as number[], (dims ?? []) as number[]));
  }
  if (folded.size === 0) return;
  for (const node of network.graph.node) {
    node.input = node.input.map((name) => folded.get(name) ?? name);
  }
}

/** Of a vector that another node keeps otherwise, a constant of its own. */
function sliceCopies({ file, values, copies }: Network, edit: Edit): void {
  for (const { node, input, value } of copies) {
    const [kept, first] = [value, values.get(value.name)!].map((each) => keptOf(each, edit));
    if (String(kept) === String(first)) continue;
    const tensor = value.tensor!;
    const own = create(TensorProtoSchema, { dataType: tensor.dataType });
    replace(file, own, file.data(tensor), value, kept!);
    node.input[input] = edit.add(own);
  }
}

function sliceConstant({ file }: Network, value: Value, edit: Edit): void {
  const { tensor, axes } = value;
  if (!tensor || !edit.hasChanged({ axes })) return;
  replace(file, tensor, file.data(tensor), value, keptOf(value, edit));
}

function keptOf({ axes, dims }: Value, edit: Edit): (readonly number[])[] {
  return axes.map((axis, i) =>
    axis < 0 ? Array.from({ length: Number(dims![i]) }, (_, k) => k) : edit.keptOf(axis),
  );
}

/** The tensor becomes those positions of the value's elements. */
function replace(
  file: OnnxFile,
  tensor: TensorProto,
  whole: Source,
  { dims }: Value,
  kept: (readonly number[])[],
): void {
  const data = new Sliced(whole, dims as number[], kept, elementBytes(tensor.dataType)!);
  file.replace(
    tensor,
    kept.map((positions) => positions.length),
    data,
  );
}

/** The shape that the file states for a value. */
function restate(info: ValueInfoProto, value: Value, edit: Edit): void {
  tensorOf(info.type)?.shape?.dim.forEach((dim, i) => {
    if (dim.value.case !== 'dimValue' || typeof value.dims?.[i] !== 'number') return;
    if (value.axes[i]! < 0) return;
    dim.value.value = BigInt(edit.size(value.axes[i]!));
  });
}

function tensorOf(type: TypeProto | undefined) {
  return type?.value.case === 'tensorType' ? type.value.value : undefined;
}

/** Leaves out what no output of the graph is computed from. */
export function removeUnused(graph: GraphProto): void {
  const used = new Set([...graph.output, ...graph.input].map(({ name }) => name));
  const kept: NodeProto[] = [];
  for (const node of graph.node.toReversed()) {
    if (!node.output.some((name) => used.has(name))) continue;
    for (const name of [...node.input, ...captured(node)]) used.add(name);
    kept.push(node);
  }
  graph.node = kept.reverse();
  graph.initializer = graph.initializer.filter(({ name }) => used.has(name));
}
