/** Gives convolutions, transposed ones too, and Gemms that have no bias one of zeros, which a refit may change. */
import { create } from '@bufbuild/protobuf';
import { isFloat } from '../onnx/floats';
import type { GraphProto, ModelProto, NodeProto, TensorProto } from '../onnx/onnx_pb';
import { TensorProtoSchema } from '../onnx/onnx_pb';
import { dimsOf, elementBytes } from '../onnx/tensor';
import type { PrunedSite } from './sites';

/** First version of the format in which a constant need not be an input of the graph too. */
const OWN_CONSTANTS = 4n;

const TAKE_ONE = ['Conv', 'ConvTranspose', 'Gemm'];

export interface AddedBias {
  node: NodeProto;
  tensor: TensorProto;
}

/** To be called before the axes are related; `removeBiases` takes out what no refit has changed. */
export function addBiases({ graph, irVersion }: ModelProto): AddedBias[] {
  if (irVersion < OWN_CONSTANTS) return [];
  const tensors = new Map(graph!.initializer.map((tensor) => [tensor.name, tensor]));
  const added: AddedBias[] = [];
  for (const node of graph!.node) {
    const [, name = '', bias = ''] = node.input;
    const map = tensors.get(name);
    if (!TAKE_ONE.includes(node.opType) || bias !== '' || !map || !isFloat(map.dataType)) continue;
    const outputs = outputsOf(node, map);
    const tensor = create(TensorProtoSchema, {
      name: `struprune.bias.${added.length}`,
      dims: [BigInt(outputs)],
      dataType: map.dataType,
      rawData: new Uint8Array(outputs * elementBytes(map.dataType)!),
    });
    graph!.initializer.push(tensor);
    node.input = [...node.input.slice(0, 2), tensor.name];
    added.push({ node, tensor });
  }
  return added;
}

/** By the name of each the places of the sites whose refits change it. */
export function changers(
  added: readonly AddedBias[],
  sites: readonly PrunedSite[],
): Map<string, number[]> {
  const places = [...sites.keys()];
  const changes = (at: number, tensor: TensorProto) =>
    sites[at]!.readers.some(({ bias }) => bias?.tensor === tensor);
  return new Map(
    added.map(({ tensor }) => [tensor.name, places.filter((at) => changes(at, tensor))]),
  );
}

/** Those of which `isChanged` says no. */
export function removeBiases(
  graph: GraphProto,
  added: readonly AddedBias[],
  isChanged: (tensor: TensorProto) => boolean,
): void {
  for (const { node, tensor } of added) {
    if (isChanged(tensor)) continue;
    node.input = node.input.slice(0, 2);
    graph.initializer = graph.initializer.filter((each) => each !== tensor);
  }
}

function outputsOf({ opType, attribute }: NodeProto, map: TensorProto): number {
  const [first, second] = dimsOf(map) as [number, number];
  const set = (name: string) => Number(attribute.find((each) => each.name === name)?.i ?? 0n);
  if (opType === 'ConvTranspose') return second * (set('group') || 1);
  return opType === 'Gemm' && set('transB') === 0 ? second : first;
}
