/**
 * Smaller kernels behind a sum-pooling, as a choice beside widths (docs/decisions/0058). Units of such a site are sizes of the kernel. Until the
 * graph is written a map keeps its size, with a kernel that is composite (`composite.ts`).
 */
import { create } from '@bufbuild/protobuf';
import { inTurns } from '../../../turns';
import { attributesOf } from '../onnx/attributes';
import type { OnnxFile } from '../onnx/file';
import { type GraphProto, type NodeProto, NodeProtoSchema } from '../onnx/onnx_pb';
import { dimsOf, FLOAT } from '../onnx/tensor';
import type { Role } from '../op';
import { windowsOf } from '../ops/maps';
import type { Network } from '../relate';
import type { Site } from '../sites';
import { coefficientsOf, smaller } from './composite';
import type { Factored } from './factored';
import { Readers } from './readers';
import { type PrunedSite, startsOf } from './sites';
import { putFloats, tensorFloats } from './weights';

/** Every size is a problem of its own. */
const MOST_KERNEL = 11;

/** The sites, with one for every kernel that may shrink, where all that changes what it reads or its weights has been solved. */
export function withKernels(
  network: Network,
  sites: readonly PrunedSite[],
  { fits, factored }: { fits: boolean; factored: readonly Factored[] },
): PrunedSite[] {
  const finder = new Readers(network, fits);
  const starts = startsOf(network, sites);
  const found = network.roles.flatMap((role) => {
    const kernel = kernelOf(network, role);
    const own = kernel && siteOf(finder, role, kernel, factored);
    return own ? [own] : [];
  });
  const places = startsOf(network, found);
  return [...sites.keys(), sites.length].flatMap((at) => {
    const [after, until] = [starts[at - 1] ?? -1, starts[at] ?? Number.POSITIVE_INFINITY];
    const here = found.filter((_, i) => places[i]! >= after && places[i]! < until);
    return [...here, ...(sites[at] ? [sites[at]] : [])];
  });
}

/** The spatial sizes of a map's kernel, where sums over a box and a smaller kernel can stand in for it; undefined: they cannot. */
function kernelOf({ ops }: Network, { kind, node, map }: Role): number[] | undefined {
  if (kind !== 'reads' || node.opType !== 'Conv' || map.tensor?.dataType !== FLOAT)
    return undefined;
  const { op } = ops.find((each) => each.op.node === node)!;
  if (op.int('group', 1) !== 1) return undefined;
  const kernel = map.dims!.slice(2).map(Number);
  const { dilations, pads, auto } = windowsOf(op, kernel.length);
  const long = kernel.filter((size) => size > 1);
  if (long.length === 0 || Math.max(...long) > MOST_KERNEL) return undefined;
  if (auto.startsWith('SAME') || dilations.some((each) => each !== 1)) return undefined;
  return pads.flat().some((pad) => pad < 0) ? undefined : kernel;
}

function siteOf(
  finder: Readers,
  role: Role,
  kernel: readonly number[],
  factored: readonly Factored[],
): PrunedSite | undefined {
  const { map } = role;
  const inputs = Int32Array.from({ length: Number(map.dims![1]) }, (_, i) => i);
  const units = Math.min(...kernel.filter((size) => size > 1));
  const sizes = Int32Array.from({ length: units }, (_, i) => i);
  const along = kernel.flatMap((size, i) =>
    size === 1 ? [] : [{ value: map, axis: i + 2, positions: sizes, units: sizes }],
  );
  const name = factored.find(({ down }) => down.name === map.name)?.tensor.name ?? map.name;
  const site: Site = {
    ...{ name, units, heads: false },
    writers: [],
    readers: [],
    along,
    classes: [],
  };
  const readers = finder.of({ ...site, readers: [{ role, positions: inputs, units: inputs }] });
  if (typeof readers === 'string') return undefined;
  const none = new Int32Array();
  return {
    // No unit of what the map reads is one of this site.
    site: { ...site, readers: [{ role, positions: none, units: none }] },
    // What is left of its inputs is known when its turn comes.
    readers: readers.map((reader) => ({ ...reader, positions: none, beside: inputs })),
    kernel,
  };
}

/** Puts a sum-pooling and the smaller kernel where a kernel has shrunk. The graph has been sliced. */
export async function shrinkKernels(
  file: OnnxFile,
  sites: readonly PrunedSite[],
  kept: ReadonlyMap<Site, ArrayLike<number>>,
  factored: readonly Factored[],
): Promise<void> {
  const graph = file.model.graph!;
  for (const { site, readers, kernel } of sites) {
    const removed = kernel && kept.has(site) ? site.units - kept.get(site)!.length : 0;
    if (!kernel || removed === 0) continue;
    const { name } = readers[0]!.map;
    const whole = factored.find(({ down }) => down.name === name)?.tensor.name;
    const isMap = (each: string | undefined) => each === name || (whole && each === whole);
    const node = graph.node.find(({ input }) => isMap(input[1]))!;
    const tensor = graph.initializer.find((each) => each.name === node.input[1])!;
    const sizes = { kernel, removed };
    const small = smaller(sizes);
    const box = kernel.map((size, i) => size - small[i]! + 1);
    const each = box.reduce((product, side) => product * side, 1);
    const coefficients = await inTurns(coefficientsOf(tensorFloats(file, tensor), sizes));
    // The pooling gives means.
    const scaled = Float32Array.from(coefficients, (value) => value * each);
    const dims = [...dimsOf(tensor).slice(0, 2), ...small];
    putFloats(file, tensor, dims, scaled);
    pool(graph, node, box, small);
  }
}

/** Padding goes to the pooling as far as its box reaches: beyond, its sums are zeros. */
function pool(graph: GraphProto, node: NodeProto, box: number[], small: number[]): void {
  const given = node.attribute.find(({ name }) => name === 'pads')?.ints.map(Number);
  const pads = given ?? box.flatMap(() => [0, 0]);
  const own = pads.map((pad, i) => Math.min(pad, box[i % box.length]! - 1));
  const constants = graph.initializer.map(({ name }) => name);
  const names = new Set([...constants, ...graph.node.flatMap(({ output }) => output)]);
  let pooled = `${node.input[1]}.pooled`;
  while (names.has(pooled)) pooled += '_';
  const first = create(NodeProtoSchema, {
    ...{ opType: 'AveragePool', name: node.name && `${node.name}.pooled` },
    ...{ input: [node.input[0]!], output: [pooled] },
    attribute: attributesOf({ kernel_shape: box, pads: own, count_include_pad: 1 }),
  });
  node.input = [pooled, ...node.input.slice(1)];
  const others = node.attribute.filter(
    ({ name }) => !['auto_pad', 'kernel_shape', 'pads'].includes(name),
  );
  const rest = pads.map((pad, i) => pad - own[i]!);
  node.attribute = [...others, ...attributesOf({ kernel_shape: small, pads: rest })];
  graph.node.splice(graph.node.indexOf(node), 0, first);
}
