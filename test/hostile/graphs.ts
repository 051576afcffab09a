/** ONNX files for the trials: some that are sound, and what is done with a damaged one. onnxruntime sees none of them. */
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import type * as Branches from '../../lib/models/graphs/branches';
import type * as File from '../../lib/models/graphs/onnx/file';
import { StringStringEntryProtoSchema } from '../../lib/models/graphs/onnx/onnx_pb';
import type * as Relate from '../../lib/models/graphs/relate';
import type * as RunSites from '../../lib/models/graphs/run/sites';
import type * as Slice from '../../lib/models/graphs/slice';
import { model, node, tensor, value } from '../models/graphs/models';

const FIXTURES = join(__dirname, '../fixtures');
/** Convolutions in a residual block and in groups, gates with a computed state, heads in one op and by views. */
const NAMES = [
  ...['graph-runs/residual', 'graph-runs/groups', 'graph-runs/gated', 'graph-runs/attention'],
  ...['graph-runs/half', 'dynamo/encoder', 'graphs/network'],
];
/** Beside a graph that has its data there. */
export const DATA = 'model.onnx_data';

/** Folders of a model.onnx each. */
export function graphSpecimens(root: string): string[] {
  const folders = NAMES.map((name) => {
    const folder = join(root, name.replace('/', '.'));
    mkdirSync(folder, { recursive: true });
    copyFileSync(join(FIXTURES, `${name}.onnx`), join(folder, 'model.onnx'));
    return folder;
  });
  const apart = join(root, 'apart');
  mkdirSync(apart);
  const maps = [tensor('in', [8, 12]), tensor('out', [12, 4])];
  let offset = 0;
  const initializer = maps.map((map) => {
    const { length } = map.rawData;
    const entries = Object.entries({ location: DATA, offset, length });
    offset += length;
    const externalData = entries.map(([key, set]) =>
      create(StringStringEntryProtoSchema, { key, value: String(set) }),
    );
    return { ...map, rawData: new Uint8Array(), dataLocation: 1, externalData };
  });
  const graph = {
    ...{ input: [value('x', ['b', 8])], output: [value('y', ['b', 4])], initializer },
    node: [node('MatMul x in -> a'), node('Relu a -> r'), node('MatMul r out -> y')],
  };
  writeFileSync(join(apart, 'model.onnx'), model(graph));
  writeFileSync(join(apart, DATA), Buffer.concat(maps.map(({ rawData }) => rawData)));
  return [...folders, apart];
}

export type Graphs = typeof Branches & typeof File & typeof Relate & typeof RunSites & typeof Slice;

/** Files of dist that have them. */
export const GRAPH_PARTS = ['branches', 'onnx/file', 'relate', 'run/sites', 'slice'];

/** All that a prune does with the file but running it: every site loses each third unit, and the result is written. */
export async function slicedByThirds(graphs: Graphs, path: string, output: string): Promise<void> {
  using file = graphs.OnnxFile.open(path);
  graphs.takeKnownBranches(file);
  const network = graphs.relate(file);
  const { sites } = graphs.prunedSites(network, { fits: true, scope: 'all' });
  const kept = (units: number) => Array.from({ length: units }, (_, i) => i).filter((i) => i % 3);
  graphs.slice(network, new Map(sites.map(({ site }) => [site, kept(site.units)])));
  await file.write(output);
}
