/** Shapes that neither the file states nor the op table knows, as onnxruntime infers them. */
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { StruPruneError } from '../../../errors';
import { elements } from '../../../model/axes';
import { openGraph } from '../branches';
import { LONGEST_CONTENT } from '../constants';
import type { OnnxFile } from '../onnx/file';
import { type TensorProto, type ValueInfoProto, ValueInfoProtoSchema } from '../onnx/onnx_pb';
import { dimsOf, INT32, INT64 } from '../onnx/tensor';
import { type Network, relate } from '../relate';
import { KINDS } from './elements';
import type { Inferred, Runtime } from './runtime';

/** A graph as it is pruned, sliced and counted. @throws StruPruneError as openGraph */
export async function openInferred(
  path: string,
  runtime: Runtime,
  scratch: string,
): Promise<OnnxFile> {
  const file = openGraph(path);
  try {
    await stateInferred(file, runtime, scratch);
    return file;
  } catch (error) {
    file.close();
    throw error;
  }
}

/**
 * States in the graph the shapes of what comes out of nodes that are not understood, so that what lies behind them is. They
 * keep their sizes, as everything does that such a node touches. Where there are such nodes onnxruntime opens the graph, without its
 * weights.
 * @throws StruPruneError as relate
 */
async function stateInferred(file: OnnxFile, runtime: Runtime, scratch: string): Promise<void> {
  const graph = file.model.graph!;
  const asked = shapeless(relate(file));
  if (asked.length === 0) return;
  const shapes = await inferredBy(file, runtime, scratch, asked);
  // Behind a node that is understood now the table knows shapes itself.
  for (let network = relate(file); ; network = relate(file)) {
    const first = shapeless(network).find((name) => shapes.has(name));
    if (first === undefined) return;
    graph.valueInfo = graph.valueInfo.filter(({ name }) => name !== first);
    const found = shapes.get(first)!;
    graph.valueInfo.push(infoOf(first, dataTypeOf(found), found.shape));
    shapes.delete(first);
  }
}

/** What nodes give that are not understood, in their order, where its rank is not known. */
function shapeless({ unknown, values }: Network): string[] {
  const given = unknown.flatMap(({ node }) => node.output);
  return given.filter((name) => name !== '' && !values.get(name)!.dims);
}

async function inferredBy(
  file: OnnxFile,
  runtime: Runtime,
  scratch: string,
  outputs: readonly string[],
): Promise<Map<string, Inferred>> {
  const graph = file.model.graph!;
  const { initializer, input, node: nodes } = graph;
  const folder = await mkdtemp(join(scratch, 'struprune-shapes-'));
  const weights = initializer.filter(isLarge);
  const names = new Set(weights.map(({ name }) => name));
  const inputs = [
    ...input.filter(({ name }) => !names.has(name)),
    ...weights.map((tensor) => infoOf(tensor.name, tensor.dataType, dimsOf(tensor))),
  ];
  try {
    graph.initializer = initializer.filter((tensor) => !isLarge(tensor));
    const part = { inputs, nodes, outputs };
    await using session = await runtime.with(folder).part(file, part, { optimises: false });
    // It has no other word for a shape that it does not know.
    const known = session.outputs.filter(({ isTensor, shape }) => isTensor && shape.length > 0);
    return new Map(known.map((one) => [one.name, one]));
  } catch (error) {
    // As a whole, with its weights, it is opened later, and refused then.
    if (error instanceof StruPruneError && error.code === 'ERR_UNSUPPORTED') return new Map();
    throw error;
  } finally {
    graph.initializer = initializer;
    await rm(folder, { recursive: true, force: true });
  }
}

/** Shapes are computed from whole numbers, and from a few others. */
function isLarge(tensor: TensorProto): boolean {
  if ([INT32, INT64].includes(tensor.dataType)) return false;
  return elements(dimsOf(tensor)) > LONGEST_CONTENT;
}

function infoOf(
  name: string,
  elemType: number,
  shape: readonly (number | string)[],
): ValueInfoProto {
  const dim = shape.map((size) => ({
    value:
      typeof size === 'number'
        ? { case: 'dimValue' as const, value: BigInt(size) }
        : { case: 'dimParam' as const, value: size },
  }));
  return create(ValueInfoProtoSchema, {
    name,
    type: { value: { case: 'tensorType', value: { elemType, shape: { dim } } } },
  });
}

/** TensorProto.DataType; 0, which is none, where this program has no word for it. */
function dataTypeOf({ type }: Inferred): number {
  const found = Object.entries(KINDS).find(([, kind]) => kind.type === type);
  return Number(found?.[0] ?? 0);
}
