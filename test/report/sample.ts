/** A made-up benchmark whose numbers a reader can check in the head, with hostile names in it. */
import type { BenchDocument, BenchMethod, BenchRow } from '../../lib/documents/bench';
import type { GraphResult } from '../../lib/models/graphs/run/result';
import type { GraphPage } from '../../lib/report/graph';
import type { PruneRun } from '../../lib/report/prune';

export const HOSTILE = '<script>alert("x")</script>&\'';
export const SPARSITIES = [0.1, 0.2, 0.3, 0.4];
export const DENSE = { 'a.txt': 20, 'b.txt': 40 } as const;
export type TextName = keyof typeof DENSE;

/** Perplexity ÷ dense on a.txt; on b.txt a hundredth more, but for the one below. */
const RATIOS: Readonly<Record<string, readonly number[]>> = {
  magnitude: [1.2, 1.9, 9, 400],
  flap: [1.05, 1.2, 1.35, 1.6],
  'struprune-uniform': [1.03, 1.09, 1.3, 1.7],
  'struprune-threshold': [1.02, 1.08, 1.25, 1.65],
  'without-refit': [1.04, 1.07, 1.4, 2],
};
/** Best on a.txt at 20 %, but outside of the limit here. */
const THRESHOLD_ON_B_AT_20 = 1.12;

export const METHODS: BenchMethod[] = [
  method('magnitude', 'magnitude', 'baseline'),
  method('flap', 'FLAP', 'baseline'),
  method('struprune-uniform', 'StruPrune, uniform', 'struprune'),
  method('struprune-threshold', 'StruPrune, threshold', 'struprune'),
  method('without-refit', 'no refit', 'ablation', 'struprune-threshold'),
];

function method(
  id: string,
  label: string,
  kind: BenchMethod['kind'],
  base: string | null = null,
): BenchMethod {
  const options = kind === 'baseline' ? { method: id } : { allocation: id };
  return { id, label, kind, base, about: `about ${id}`, options };
}

const BLOCKS = 4;
const WEIGHTS = 1_000_000;

function rowOf({ id, label }: BenchMethod, at: number): BenchRow {
  const sparsity = SPARSITIES[at]!;
  const seed = METHODS.findIndex((one) => one.id === id) + 1;
  const ratioOn = (text: TextName) => {
    if (text === 'a.txt') return RATIOS[id]![at]!;
    const special = id === 'struprune-threshold' && sparsity === 0.2;
    return special ? THRESHOLD_ON_B_AT_20 : RATIOS[id]![at]! + (at === 1 ? 0 : 0.01);
  };
  return {
    method: id,
    label,
    allocation: id === 'struprune-threshold' ? 'threshold' : 'uniform',
    sparsity,
    achieved: sparsity + 0.001 * seed,
    fileSparsity: sparsity / 2,
    parameters: 2_000_000 - sparsity * WEIGHTS,
    fileBytes: 2 * (2_000_000 - sparsity * WEIGHTS),
    texts: (['a.txt', 'b.txt'] as const).map((text) => ({
      text,
      perplexity: DENSE[text] * ratioOn(text),
      meanNll: Math.log(DENSE[text] * ratioOn(text)),
      klToDense: Math.log(ratioOn(text)) / 3 + 0.001 * seed,
      top1Agreement: 0.9 / ratioOn(text),
    })),
    seconds: { survey: id.startsWith('struprune-t') ? 3.5 : 0, solve: 4 + seed, evaluate: 2.25 },
    survey: id.startsWith('struprune-t') ? 'fisher' : null,
    peakRssBytes: (300 + seed) * 2 ** 20,
    layers: removals(id, sparsity).map((removed, block) => ({
      block,
      site: 'ffn' as const,
      groups: 512,
      removed,
      share: removed / 512,
      relativeError: 0.01 * (block + 1),
      predicted: null,
      seconds: 1,
      admm: id === 'struprune-uniform' ? admm(block) : null,
    })),
    warnings: [],
  };
}

/** The threshold takes more from later blocks, the others the same from all. */
function removals(id: string, sparsity: number): number[] {
  const slope = id === 'struprune-threshold' ? 8 : 0;
  const even = 8 * Math.round(64 * sparsity);
  return Array.from({ length: BLOCKS }, (_, block) => even + slope * (block - 1));
}

function admm(block: number) {
  return {
    converged: block !== 3,
    history: Array.from({ length: 5 + block }, (_, step) => ({
      rho: 0.1 * 1.1 ** step,
      changed: step === 0 ? 10 : 0,
      primal: 10 ** -(step / 2 + block),
      dual: 10 ** -(step + block),
    })),
  };
}

/** All sections; each call makes a new one, so that a test may change it. */
export function sampleDocument(): BenchDocument {
  const model = {
    name: HOSTILE,
    path: `/models/${HOSTILE}`,
    family: 'llama',
    parameters: 2_000_000,
    linearWeights: WEIGHTS,
    fileBytes: 4_000_000,
    blocks: BLOCKS,
    hidden: 64,
    vocab: 1000,
  };
  const text = (name: string) => ({
    name,
    path: `/texts/${name}`,
    sha256: 'ab'.repeat(32),
    tokens: 4096,
    window: 256,
  });
  const contender = (label: string, seconds: number) => ({
    label,
    command: `run ${label}`,
    seconds,
    peakRssBytes: 2 ** 30,
    stages: [{ name: 'forward', seconds: seconds / 2 }],
    forwardShare: 0.5,
    perplexity: 21,
  });
  return {
    format: 'struprune-bench',
    version: 1,
    date: '2026-11-24T12:00:00.000Z',
    seconds: 123.4,
    command: `npx struprune-native bench quality '${HOSTILE}'`,
    machine: {
      cpu: 'A processor',
      cores: 2,
      threads: 2,
      device: 'cpu',
      memoryBytes: 8e9,
      system: 'linux x64 6.1',
      blas: 'OpenBLAS',
      gemmPath: 'f32',
      sgemmRate: 120.5,
      dgemmRate: null,
      bandwidth: 14.25,
    },
    versions: { struprune: '0.1.0', node: '20.20.2' },
    seed: 7,
    settings: { window: 256, hostile: HOSTILE },
    quality: {
      model,
      scope: 'ffn',
      ffnSolver: 'output',
      format: 'hf',
      dtype: 'f16',
      calibration: text('calibration.txt'),
      texts: [text('a.txt'), text('b.txt')],
      dense: {
        perplexities: Object.entries(DENSE).map(([name, perplexity]) => ({
          text: name,
          perplexity,
          meanNll: Math.log(perplexity),
        })),
        seconds: 5,
      },
      sparsities: [...SPARSITIES],
      methods: METHODS,
      rows: METHODS.flatMap((one) => SPARSITIES.map((_, at) => rowOf(one, at))),
      failures: [
        { method: 'osscar', sparsity: 0.4, code: 'ERR_NUMERIC', message: `no ${HOSTILE} factor` },
      ],
      surveys: [
        {
          key: 'fisher',
          unit: 'nats per token',
          tokens: 2048,
          seconds: 3.5,
          layers: Array.from({ length: BLOCKS }, (_, block) => ({
            block,
            site: 'ffn' as const,
            groups: 512,
            cost: 192,
            weight: 2,
            error: Array.from({ length: 462 }, (_, k) => (k / 512) ** (2 + block) / 8),
          })),
        },
      ],
      warnings: [],
    },
    kernels: {
      model,
      roofs: [{ device: 'cpu', gemmRates: [{ dtype: 'f32', gflops: 120 }], bandwidth: 14 }],
      rows: [kernel('gemm', 40, 108), kernel('softmax', 0.5, 3.5), kernel('norm', 0.25, 3.4)],
    },
    speed: {
      threads: 2,
      promptTokens: 512,
      generatedTokens: 64,
      repeats: 5,
      dense: speedModel('dense'),
      pruned: speedModel('pruned'),
      runs: [
        {
          runtime: 'node-llama-cpp 3.22.1',
          prompt: pace(1000, 1250, 1.4),
          generation: pace(100, 130, 1.25),
        },
        { runtime: 'struprune-native 0.2.0', prompt: pace(800, 900, 1.4), generation: null },
      ],
      notes: ['something was left out'],
    },
    peers: {
      model,
      calibration: text('calibration.txt'),
      sparsity: 0.2,
      ours: contender('struprune-native', 40),
      peers: [{ ...contender('torch', 130), ratios: { seconds: 3.25, memory: 2.5 } }],
      useful: [{ item: 'forward', flops: 4e12, rate: 120, seconds: 33.3 }],
      overUseful: 1.2,
    },
    masks: {
      model,
      calibration: text('calibration.txt'),
      searches: [
        { id: 'sweep', label: 'sweep' },
        { id: 'admm', label: 'ADMM' },
      ],
      sites: Array.from({ length: BLOCKS }, (_, block) => ({
        block,
        site: 'ffn' as const,
        groups: 512,
        removed: 128,
        share: 0.25,
        results: [
          {
            search: 'sweep',
            relativeError: 0.01 * (block + 1),
            seconds: 2,
            swaps: null,
            admm: null,
          },
          {
            search: 'admm',
            // Half the error in the first block, four times in the second, the same in the others.
            relativeError: 0.01 * (block + 1) * ([0.5, 4][block] ?? 1),
            seconds: 1,
            swaps: null,
            admm: {
              converged: block > 0,
              history: [
                { rho: 0.1, changed: 9, primal: 0.5, dual: 0.25 },
                { rho: 0.2, changed: 0, primal: 0.01, dual: 0.005 },
              ],
            },
          },
        ],
      })),
    },
    memory: {
      idleBytes: 6e7,
      constantBytes: 2e7,
      slope: 0.5,
      layerSlope: 0.8,
      rows: [125e6, 350e6, 1.3e9].flatMap((parameters, i) =>
        [true, false].map((smallest) => ({
          label: `model ${i}`,
          parameters,
          blocks: 12 * (i + 1),
          hidden: 768 * (i + 1),
          calibrationTokens: 2048,
          budgetBytes: smallest ? 1e8 * (i + 1) : null,
          smallest,
          plannedBytes: 1e8,
          nativePeakBytes: Math.round(2e8 * (parameters / 125e6) ** 0.8),
          peakBytes: 8e7 + Math.round(9e7 * Math.sqrt(parameters / 125e6)),
          limitBytes: smallest ? 1.05e8 * (i + 1) + 6e7 : null,
          chargedBytes: smallest ? 9e7 * (i + 1) : null,
          scratchBytes: 1e9,
          scratchReadBytes: 3e9,
          scratchWrittenBytes: 2e9,
          seconds: 60,
          sha256: 'cd'.repeat(32),
        })),
      ),
    },
  };
}

function kernel(op: string, intensity: number, gflops: number) {
  const attainable = Math.min(120, intensity * 14);
  return {
    op,
    shape: '[256, 64] × [64, 64]',
    device: 'cpu',
    dtype: 'f32',
    flops: 1e6,
    bytes: 1e6 / intensity,
    seconds: 1e6 / (gflops * 1e9),
    repeats: 20,
    intensity,
    gflops,
    attainable,
    share: gflops / attainable,
    bound: attainable < 120 ? ('memory' as const) : ('compute' as const),
  };
}

function speedModel(label: string) {
  return { label, path: `/models/${label}.gguf`, parameters: 2_000_000, fileBytes: 4_000_000 };
}

/** Tokens per second; of which the slowest rounds had a tenth less. */
function pace(dense: number, pruned: number, allowed: number) {
  const spread = (median: number) => ({ median, least: 0.9 * median, most: median });
  const ratio = pruned / dense;
  return {
    dense: spread(dense),
    pruned: spread(pruned),
    ratio: spread(ratio),
    allowed,
    noise: ratio > allowed,
  };
}

/** A run with ADMM masks over both kinds of sites. */
export function sampleRun(): PruneRun {
  const { command, date, machine, seconds, seed, settings, versions } = sampleDocument();
  const blocks = Array.from({ length: 3 }, (_, index) => index);
  return {
    model: `/models/${HOSTILE}`,
    origin: { command, date, machine, seconds, seed, settings, versions },
    speed: null,
    result: {
      settings: { allocation: 'threshold', alpha: 0.5, memory: null },
      method: 'struprune',
      allocation: 'threshold',
      scope: 'all',
      format: 'hf',
      dtype: 'f16',
      output: `/out/${HOSTILE}`,
      calibrationTokens: 1024,
      window: 128,
      parametersBefore: 2_000_000,
      parametersAfter: 1_700_000,
      sparsity: 0.3,
      fileSparsity: 0.15,
      bytesBefore: 4_000_000,
      bytesAfter: 3_400_000,
      perplexityBefore: 20,
      perplexityAfter: 21,
      perplexityCalibrated: { before: 18, after: 18.5 },
      measuredOn: 'a.txt',
      verification: { expected: 3.5, actual: 3.5 },
      seconds: 12.5,
      measuringSeconds: 2.5,
      peakRssBytes: 300 * 2 ** 20,
      peakBudgetBytes: 100 * 2 ** 20,
      ranks: [],
      scratchTraffic: { read: 3 * 2 ** 30, written: 2 * 2 ** 30 },
      device: 'cpu',
      peakDeviceBytes: null,
      allocated: [{ scope: 'all', tau: 1e-6, form: null, temperature: null, mu: null }],
      survey: 'made',
      solveInputs: 'sequential',
      confidence: null,
      search: { rounds: 4, before: 0.4715, after: 0.4118 },
      tuning: null,
      resumedBlocks: [],
      kind: 'own-modeling',
      seeing: false,
      notes: ['a note'],
      warnings: ['calibration and evaluation text overlap'],
      samples: { prompt: 'Once', before: ' upon', after: HOSTILE },
      layers: blocks.map((index) => ({
        index,
        ffnBefore: 512,
        ffnAfter: 512 - 64 * index,
        kvHeadsBefore: 4,
        kvHeadsAfter: 4 - (index % 2),
        expertsBefore: 0,
        expertsAfter: 0,
        keptFfnSha256: 'ab'.repeat(32),
        keptKvSha256: 'cd'.repeat(32),
        keptExperts: null,
      })),
      layerStats: blocks.flatMap((index) =>
        (['attention', 'ffn'] as const).map((site) => {
          const { converged, history } = admm(index);
          const { primal, dual } = history.at(-1)!;
          return {
            index,
            site,
            removed: site === 'ffn' ? 64 * index : index % 2,
            groups: site === 'ffn' ? 512 : 4,
            energy: 0.8 + 0.1 * index,
            weight: 0.02,
            predicted: 0.001 * (index + 1),
            relativeError: 0.01 * (index + 1),
            lambda: 0.05,
            ridgeRaised: 0,
            swaps: null,
            admm: { iterations: history.length, converged, primal, dual, history },
            inputRefit: null,
            expertTokens: null,
            seconds: 0.5,
          };
        }),
      ),
    },
  };
}

/** A run of pruneGraph() as its report has it. */
export function sampleGraph(): GraphPage {
  const result: GraphResult = {
    settings: {},
    allocation: 'threshold',
    output: `${HOSTILE}.onnx`,
    ...{ weightsBefore: 1000, weightsAfter: 600, parametersBefore: 1100, parametersAfter: 660 },
    ...{ multiplyAddsBefore: 5000, multiplyAddsAfter: 3100 },
    ...{ sparsity: 0.4, bytesBefore: 4400, bytesAfter: 2700, calibrationSamples: 96 },
    losses: [{ output: HOSTILE, kind: 'KL of logits' }],
    search: { rounds: 2, before: 0.31, after: 0.27 },
    evaluation: { samples: 240, loss: 0.125, agreement: 0.75 },
    sites: [
      {
        name: HOSTILE,
        before: 8,
        after: 6,
        predicted: 0.25,
        relativeError: 0.5,
        lambda: 0.05,
        seconds: 2,
      },
      {
        name: 'b',
        before: 4,
        after: 4,
        predicted: null,
        relativeError: null,
        lambda: null,
        seconds: 1,
      },
    ],
    held: [{ reason: HOSTILE, share: 0.125 }],
    verification: { expected: 3.5, actual: 3.5 },
    ...{
      seconds: 3,
      peakRssBytes: 2 ** 28,
      warnings: [],
      notes: [],
      resumedSites: 0,
      passes: 7.25,
    },
  };
  return { model: `/models/${HOSTILE}.onnx`, result, origin: sampleRun().origin };
}

/** A document of `bench graphs`: ours, a slice and a graph of others. */
export function sampleGraphs(): BenchDocument {
  const { format, version, command, date, machine, seconds, seed, settings, versions } =
    sampleDocument();
  const measured = (left: number, loss: number) => ({
    ...{ weights: 1000 * left, parameters: 1100 * left, multiplyAdds: 5000 * left, loss },
    ...{ fileBytes: 4400 * left, agreement: 1 - loss },
    ...{ secondsOneThread: 0.01 * left, secondsTwoThreads: 0.006 * left },
  });
  const row = (method: 'refit' | 'slice-l2' | 'rival', sparsity: number, loss: number) => ({
    ...{ method, sparsity, name: method === 'rival' ? HOSTILE : null },
    ...{ pruneSeconds: method === 'rival' ? null : 12, ...measured(1 - sparsity, loss) },
  });
  return {
    ...{ format, version, command, date, machine, seconds, seed, settings, versions },
    graphs: {
      model: { name: 'a.onnx', path: '/models/a.onnx' },
      evaluationSamples: 240,
      losses: [{ output: 'y', kind: 'KL of logits' }],
      dense: measured(1, 0),
      rows: [
        ...[row('refit', 0.25, 0.001), row('slice-l2', 0.25, 0.5)],
        ...[row('refit', 0.5, 0.01), row('slice-l2', 0.5, 0.9), row('rival', 0.5, 0.2)],
      ],
    },
  };
}
