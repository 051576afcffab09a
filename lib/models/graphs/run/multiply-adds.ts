/** How often a sample multiplies with each map, and what that comes to. */
import type { Axis } from '../axes';
import { product } from '../dims';
import type { OnnxFile } from '../onnx/file';
import { relate } from '../relate';
import type { Value } from '../value';
import { multiplies, storedBy } from '../weights';
import { type Amounts, Counts } from './counts';
import type { Samples } from './samples';

/** Of a whole graph, which `openGraph` gives. */
export function countsOf(file: OnnxFile, samples: Samples): Amounts {
  return new Counts(relate(file), [], { rows: rowsOfMaps(file, samples) }).after();
}

/**
 * By the name of each map: rows that one sample multiplies it with, so that its multiply-adds are its elements times that. A size that only a run
 * knows counts as one.
 */
export function rowsOfMaps(file: OnnxFile, samples: Samples): Map<string, number> {
  const network = relatedTo(file, samples);
  const { roles, axes } = network;
  const stored = storedBy(network);
  // A recurrent map has one for each direction, and so has what it writes.
  const isOf = (map: Value, axis: Axis) =>
    axis >= 0 && map.axes.some((own) => own >= 0 && axes.unit(own, 0) === axes.unit(axis, 0));
  const rows = new Map<string, number>();
  const seen = new Set<string>();
  for (const { kind, node, map, by, position } of roles.filter(multiplies)) {
    // What a transposed convolution reads counts; of all others what they write.
    const counts = node.opType === 'ConvTranspose' ? 'reads' : 'writes';
    const use = `${node.output.join(' ')} ${map.name}`;
    if (kind !== counts || seen.has(use)) continue;
    seen.add(use);
    const others = by.dims!.filter((_, i) => i !== position && !isOf(map, by.axes[i]!));
    const own = product(others.map((dim) => (typeof dim === 'number' ? dim : 1)));
    for (const { name } of stored(map))
      rows.set(name, (rows.get(name) ?? 0) + Number(own) / samples.batch);
  }
  return rows;
}

/** The network as it is for a batch: sizes of the inputs are numbers. */
function relatedTo(file: OnnxFile, samples: Samples) {
  const graph = file.model.graph!;
  const { input } = graph;
  try {
    const given = new Map(samples.sized.map((info) => [info.name, info]));
    graph.input = input.map((info) => given.get(info.name) ?? info);
    return relate(file);
  } finally {
    graph.input = input;
  }
}
