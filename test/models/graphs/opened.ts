/** Small graphs as files, related, and without some units. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OnnxFile } from '../../../lib/models/graphs/onnx/file';
import { dimsOf } from '../../../lib/models/graphs/onnx/tensor';
import { type Network, relate } from '../../../lib/models/graphs/relate';
import { type Site, sitesOf } from '../../../lib/models/graphs/sites';
import { slice } from '../../../lib/models/graphs/slice';
import { model, value } from './models';

type Graph = Parameters<typeof model>[0];

const folder = mkdtempSync(join(tmpdir(), 'struprune-sites-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
let written = 0;

export function opened(graph: Graph, opset?: number): { network: Network; sites: Site[] } {
  const path = join(folder, `${written++}.onnx`);
  writeFileSync(path, model(graph, opset));
  const network = relate(OnnxFile.open(path));
  return { network, sites: sitesOf(network) };
}

/** Units of the first site that stay. */
export function keep({ network, sites }: ReturnType<typeof opened>, ...kept: number[]): Network {
  slice(network, new Map([[sites[0]!, kept]]));
  return network;
}

export const shapes = ({ graph }: Network) =>
  Object.fromEntries(graph.initializer.map((each) => [each.name, dimsOf(each)]));

export function constants({ graph }: Network): number[][] {
  const made = graph.node.filter(({ opType }) => opType === 'Constant');
  return made.map(({ attribute }) => attribute[0]!.t!.int64Data.map(Number));
}

export const io = (input: (number | string)[], output: (number | string)[]) => ({
  input: [value('x', input)],
  output: [value('y', output)],
});
