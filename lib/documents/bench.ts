/**
 * What `bench` writes, version 1: `bench quality` as quality.json, `bench kernels` as kernels.json and so on. A
 * document has one section or more; the others are left out. Sizes in bytes, times in seconds, rates in GFLOP/s (1e9) and GB/s (1e9 bytes), shares from 0 to 1,
 * losses in nats per token. Readers refuse another `version`; new optional keys do not change it.
 */
import { z } from 'zod';

export const BENCH_FORMAT = 'struprune-bench';
export const BENCH_VERSION = 1;

const count = z.number().int().nonnegative();
/** What its site is called in a block's description. */
const site = z.string();

const machine = z.object({
  cpu: z.string(),
  /** Logical cores of the machine, and threads that the run used. */
  cores: count,
  threads: count,
  /** `cpu`, or the GPU that computed the sites and its libraries. */
  device: z.string(),
  memoryBytes: count,
  /** For example `linux x64 6.1.0`. */
  system: z.string(),
  blas: z.string(),
  gemmPath: z.string(),
  /** Of sums over calibration tokens; older documents do not say. */
  calibrationPath: z.string().optional(),
  /** Of searches; older documents do not say. */
  searchPath: z.string().optional(),
  /** GFLOP/s of products of floats by `gemmPath`, and of doubles by the BLAS, measured in this run on all its threads; null where the command did not need them. */
  sgemmRate: z.number().nullable(),
  dgemmRate: z.number().nullable(),
  /** Bytes read and written by a copy between large arrays. */
  bandwidth: z.number().nullable(),
});

const versions = z.object({ struprune: z.string(), node: z.string() });

/** A text as it was used: whole windows of its first tokens. */
const text = z.object({
  /** File name, unique in the document. */
  name: z.string(),
  path: z.string(),
  sha256: z.string(),
  tokens: count,
  window: count,
});

const model = z.object({
  name: z.string(),
  path: z.string(),
  family: z.string(),
  parameters: count,
  /** Linear weights of all blocks: what sparsity is a share of. */
  linearWeights: count,
  fileBytes: count,
  blocks: count,
  hidden: count,
  vocab: count,
});

/** What a row was made with: one entry of lib/bench/methods. */
const method = z.object({
  /** Unique, as in --methods: `struprune-threshold`, `wanda-sp`, `without-refit`. */
  id: z.string(),
  label: z.string(),
  /** `ablation`: StruPrune with one ingredient taken out or exchanged; compare with `base`. */
  kind: z.enum(['baseline', 'struprune', 'ablation']),
  /** Ablations, StruPrune's other allocations and tuned methods: id of the method that the change was made to. */
  base: z.string().nullable(),
  /** Where the method was published, or what the entry changes. */
  about: z.string(),
  /** Options of prune() in which it differs from the defaults. */
  options: z.record(z.string(), z.unknown()),
});

/** Measured on the file as it was opened again. */
const onText = z.object({
  text: z.string(),
  perplexity: z.number(),
  meanNll: z.number(),
  /** Mean over the targets of KL(dense ‖ pruned), nats. */
  klToDense: z.number(),
  /** Share of the targets where the likeliest token is the dense model's. */
  top1Agreement: z.number(),
});

const admmStep = z.object({
  rho: z.number(),
  /** Groups whose mask changed. */
  changed: count,
  /** Relative residuals. */
  primal: z.number(),
  dual: z.number(),
});

const layer = z.object({
  block: count,
  site,
  groups: count,
  removed: count,
  /** Removed ÷ groups. */
  share: z.number(),
  /** Error of the map as a share of its target's energy; null where none was measured. */
  relativeError: z.number().nullable(),
  /** Loss that the survey predicted; null without a survey. */
  predicted: z.number().nullable(),
  seconds: z.number(),
  /** ADMM alone: every step as it was. */
  admm: z.object({ converged: z.boolean(), history: z.array(admmStep) }).nullable(),
});

export const rowSchema = z.object({
  /** `id` of a method. */
  method: z.string(),
  label: z.string(),
  allocation: z.string(),
  /** Asked share, and what was removed of the linear weights and of the whole file. */
  sparsity: z.number(),
  achieved: z.number(),
  fileSparsity: z.number(),
  /** Counted in the file written. */
  parameters: count,
  fileBytes: count,
  texts: z.array(onText),
  seconds: z.object({
    /** The survey that the row used; made once for all rows with the same `survey`. */
    survey: z.number(),
    /** Allocation, solve and write. */
    solve: z.number(),
    /** Opening the file again and measuring it on all texts. */
    evaluate: z.number(),
  }),
  /** Key of the survey in `surveys`; null: the method needs none. */
  survey: z.string().nullable(),
  /** Largest resident size while the row was made; null where the system cannot tell. */
  peakRssBytes: count.nullable(),
  /** Of the program that made it, see `buildOf`; older rows do not say. */
  build: z.string().optional(),
  layers: z.array(layer),
  /** What a failed check or a raised ridge had to say. */
  warnings: z.array(z.string()),
});

/** A row that could not be made; the run went on. */
const failure = z.object({
  method: z.string(),
  sparsity: z.number(),
  code: z.string(),
  message: z.string(),
});

/** Error curves of one dense survey: error[k] after the k cheapest removals. */
const survey = z.object({
  key: z.string(),
  /** What the errors are counted in: `nats per token`, `squared error`, `score`. */
  unit: z.string(),
  tokens: count,
  seconds: z.number(),
  layers: z.array(
    z.object({
      block: count,
      site,
      groups: count,
      /** Linear weights in a group. */
      cost: count,
      /** w_l of the allocation. */
      weight: z.number(),
      error: z.array(z.number()),
    }),
  ),
});

const quality = z.object({
  model,
  /** `ffn`, `attention`, `all`; `default`: each method's own, as prune has it. */
  scope: z.string(),
  /**
   * What of an FFN StruPrune's rows refit, `output`, `auxiliary`, `gauss-newton`; `default`: as prune has it. A
   * document without it is of a version that had `output`.
   */
  ffnSolver: z.string().default('output'),
  format: z.string(),
  dtype: z.string(),
  calibration: text,
  texts: z.array(text),
  dense: z.object({
    perplexities: z.array(
      z.object({ text: z.string(), perplexity: z.number(), meanNll: z.number() }),
    ),
    seconds: z.number(),
  }),
  sparsities: z.array(z.number()),
  methods: z.array(method),
  rows: z.array(rowSchema),
  failures: z.array(failure),
  surveys: z.array(survey),
  /** For example that calibration and evaluation text overlap. */
  warnings: z.array(z.string()).default([]),
});

/** One native operation at one of the model's shapes. */
const kernel = z.object({
  op: z.string(),
  /** In words: `[2048, 576] × [576, 1536]`. */
  shape: z.string(),
  /** `cpu` or `cuda:0`. */
  device: z.string(),
  dtype: z.string(),
  /** Of one call: useful flops, bytes that must move at least, seconds of the fastest repeat (other work only slows). */
  flops: z.number(),
  bytes: z.number(),
  seconds: z.number(),
  repeats: count,
  /** flops ÷ bytes. */
  intensity: z.number(),
  gflops: z.number(),
  /** min(GEMM rate of the dtype, intensity × bandwidth). */
  attainable: z.number(),
  /** gflops ÷ attainable. */
  share: z.number(),
  bound: z.enum(['compute', 'memory']),
});

const kernels = z.object({
  model,
  /** The two roofs of every device, measured in this run. */
  roofs: z.array(
    z.object({
      device: z.string(),
      gemmRates: z.array(z.object({ dtype: z.string(), gflops: z.number() })),
      bandwidth: z.number(),
    }),
  ),
  rows: z.array(kernel),
});

const speedModel = z.object({
  label: z.string(),
  path: z.string(),
  parameters: count,
  fileBytes: count,
});

/** Of all rounds. */
const spread = z.object({ median: z.number(), least: z.number(), most: z.number() });

/** How fast both models are, tokens per second. */
const pace = z.object({
  dense: spread,
  pruned: spread,
  /** Pruned ÷ dense, round by round: the models take turns. */
  ratio: spread,
  /** What the removed flops (prompt) or bytes (generation) allow. */
  allowed: z.number(),
  /** The median ratio is above that, which pruning cannot have done. */
  noise: z.boolean(),
});

const speed = z.object({
  threads: count,
  promptTokens: count,
  generatedTokens: count,
  repeats: count,
  dense: speedModel,
  pruned: speedModel,
  runs: z.array(
    z.object({
      /** For example `node-llama-cpp 3.22.1`. */
      runtime: z.string(),
      prompt: pace,
      /** null: the runtime has no cache of keys and values. */
      generation: pace.nullable(),
    }),
  ),
  /** What was not measured, and why. */
  notes: z.array(z.string()),
});

const stage = z.object({ name: z.string(), seconds: z.number() });

const contender = z.object({
  label: z.string(),
  command: z.string(),
  /** Of the whole process, less what it says it spent on `evaluate` and `measure sgemm`. */
  seconds: z.number(),
  peakRssBytes: count.nullable(),
  stages: z.array(stage),
  /** Forward passes' useful flops ÷ their seconds ÷ the sgemm rate of the same program; null: not told. */
  forwardShare: z.number().nullable(),
  perplexity: z.number().nullable(),
});

const peers = z.object({
  model,
  calibration: text,
  sparsity: z.number(),
  ours: contender,
  peers: z.array(
    contender.extend({
      /** Theirs ÷ ours. */
      ratios: z.object({ seconds: z.number(), memory: z.number().nullable() }),
    }),
  ),
  /** Work that any program has to do, item by item, with its time at the measured rate. */
  useful: z.array(
    z.object({ item: z.string(), flops: z.number(), rate: z.number(), seconds: z.number() }),
  ),
  /** Our seconds ÷ the sum of `useful`. */
  overUseful: z.number(),
});

/** One way to a mask on one site. */
const maskSearch = z.object({
  /** `id` of a search. */
  search: z.string(),
  /** Unpenalised error after the exact refit, as a share of the map's energy. */
  relativeError: z.number(),
  /** Of the search alone. */
  seconds: z.number(),
  /** Exchanges made; null without a swap pass. */
  swaps: count.nullable(),
  admm: z.object({ converged: z.boolean(), history: z.array(admmStep) }).nullable(),
});

const maskSite = z.object({
  block: count,
  site,
  groups: count,
  removed: count,
  /** Asked share of the groups. */
  share: z.number(),
  results: z.array(maskSearch),
});

/** Ways to a mask inside every site of the dense model, at equal widths: `bench masks`. */
const masks = z.object({
  model,
  calibration: text,
  /** The first one is what the others are measured against. */
  searches: z.array(z.object({ id: z.string(), label: z.string() })),
  sites: z.array(maskSite),
});

/** Seconds a token: of a prompt that is read at once, and of tokens made one by one, where they were measured. */
const tokenTime = z.object({
  prompt: z.number().positive(),
  generation: z.number().positive().nullable(),
});

/** The whole model's time by the width of one kind of site: `bench latency`. */
const latency = z.object({
  model,
  /** What ran it, and the type of its maps there. */
  runtime: z.string(),
  dtype: z.string(),
  threads: count,
  promptTokens: count,
  generatedTokens: count,
  repeats: count,
  /** As it is. */
  dense: tokenTime,
  /** With so many units of the site in every block, all other sites as they are; without the dense widths. */
  rows: z.array(tokenTime.extend({ site, units: count })),
  /** Units of the sites in every block of the dense model. */
  units: z.record(z.string(), count),
});

/** A run on ranks, by its plan and what its stages took on one process: `bench scale`. */
const scale = z.object({
  model,
  /** What a rank can send to another, Gbit/s. */
  gbit: z.number(),
  calibrationTokens: count,
  /** Stages on one process, as they were timed. */
  measured: z.array(z.object({ stage: z.string(), seconds: z.number() })),
  rows: z.array(
    z.object({
      ranks: count,
      /** Of the solve; else rank 0 solves alone. */
      sharesTokens: z.boolean(),
      /** Seconds of the rank that takes longest, and of sums on their way. */
      survey: z.number(),
      solve: z.number(),
      network: z.number(),
      /** Of the whole run, and one process's over it. */
      seconds: z.number(),
      faster: z.number(),
      /** Stages that ranks share, by rank. `sent`: bytes of sums; `waitingSeconds`: for others and the network. */
      each: z.array(
        z.object({
          rank: count,
          stage: z.string(),
          flops: z.number(),
          seconds: z.number(),
          waitingSeconds: z.number(),
          sent: count,
        }),
      ),
    }),
  ),
});

const memoryRow = z.object({
  label: z.string(),
  parameters: count,
  blocks: count,
  hidden: count,
  calibrationTokens: count,
  /** `--memory` of the run; null: no limit. */
  budgetBytes: count.nullable(),
  /** Whether it is the smallest with which the run comes to its end. */
  smallest: z.boolean(),
  /** What `plan` said for this budget. */
  plannedBytes: count,
  scratchBytes: count,
  /** From and to scratch files. */
  scratchReadBytes: count,
  scratchWrittenBytes: count,
  /** Largest sum of native allocations. */
  nativePeakBytes: count,
  /** Largest proportional set size of the process tree, looked at from outside; null where the system cannot tell. */
  peakBytes: count.nullable(),
  /** Of the control group that the run was held to; null where none was, or could be, made. */
  limitBytes: z.number().nullable().default(null),
  /** Most that was charged to that group, the kernel's cache of files included. */
  chargedBytes: count.nullable().default(null),
  seconds: z.number(),
  /** Hash of the written weights, to show that budgets do not change them. */
  sha256: z.string(),
});

/** Runs of growing models or shrinking budgets: `bench memory`. */
const memory = z.object({
  /** Of a Node that has loaded the library and does nothing: what budgets count from. null as `peakBytes`. */
  idleBytes: count.nullable(),
  /** Peak above that of the embedded model's run under its smallest budget: what any run takes. */
  constantBytes: count.nullable(),
  /**
   * Exponents of growth with the parameters, over several models: of the peak above idle and constant at the smallest
   * budgets, and of the native peak without a budget (a layer at a time). null: one model, or not measured.
   */
  slope: z.number().nullable(),
  layerSlope: z.number().nullable(),
  rows: z.array(memoryRow),
});

/** An ONNX graph, dense or pruned, on samples that calibrated nothing. */
const measuredGraph = z.object({
  weights: count,
  parameters: count,
  /** Of maps, for one sample. */
  multiplyAdds: z.number(),
  fileBytes: count,
  /** Of the outputs, to the dense graph's. */
  loss: z.number(),
  /** Share of outputs whose largest probability or logit is the dense graph's; null without such an output. */
  agreement: z.number().nullable(),
  /** Of one sample in onnxruntime, as one of a batch. */
  secondsOneThread: z.number(),
  secondsTwoThreads: z.number(),
});

const graphRow = measuredGraph.extend({
  /** Masks and refits of pruneGraph(); the units of least L2 norm sliced away, to at most as many parameters; or a graph of --rivals. */
  method: z.enum(['refit', 'slice-l2', 'rival']),
  /** Of a rival: its file's, without .onnx; null of others. */
  name: z.string().nullable(),
  /** Asked for; of a rival the share of the weights that it lacks. */
  sparsity: z.number(),
  /** null: of a rival. */
  pruneSeconds: z.number().nullable(),
});

/** `bench graphs`. */
const graphs = z.object({
  model: z.object({ name: z.string(), path: z.string() }),
  evaluationSamples: count,
  losses: z.array(z.object({ output: z.string(), kind: z.string() })),
  dense: measuredGraph,
  rows: z.array(graphRow),
});

export const benchSchema = z.object({
  format: z.literal(BENCH_FORMAT),
  version: z.literal(BENCH_VERSION),
  /** ISO 8601, when the document was begun. */
  date: z.string(),
  seconds: z.number(),
  /** Command line that makes it again. */
  command: z.string(),
  machine,
  versions,
  seed: count,
  /** Every setting of the run, defaults included. */
  settings: z.record(z.string(), z.unknown()),
  quality: quality.optional(),
  kernels: kernels.optional(),
  speed: speed.optional(),
  peers: peers.optional(),
  memory: memory.optional(),
  masks: masks.optional(),
  graphs: graphs.optional(),
  latency: latency.optional(),
  scale: scale.optional(),
});

export type BenchDocument = z.infer<typeof benchSchema>;
export type BenchMachine = z.infer<typeof machine>;
export type BenchModel = z.infer<typeof model>;
export type BenchText = z.infer<typeof text>;
export type BenchMethod = z.infer<typeof method>;
export type BenchOnText = z.infer<typeof onText>;
export type BenchLayer = z.infer<typeof layer>;
export type BenchRow = z.infer<typeof rowSchema>;
export type BenchFailure = z.infer<typeof failure>;
export type BenchSurvey = z.infer<typeof survey>;
export type BenchQuality = z.infer<typeof quality>;
export type BenchKernel = z.infer<typeof kernel>;
export type BenchKernels = z.infer<typeof kernels>;
export type BenchPace = z.infer<typeof pace>;
export type BenchLatency = z.infer<typeof latency>;
export type BenchScale = z.infer<typeof scale>;
export type BenchSpeed = z.infer<typeof speed>;
export type BenchSpread = z.infer<typeof spread>;
export type BenchPeers = z.infer<typeof peers>;
export type BenchMemory = z.infer<typeof memory>;
export type BenchMemoryRow = z.infer<typeof memoryRow>;
export type BenchMasks = z.infer<typeof masks>;
export type BenchGraphs = z.infer<typeof graphs>;
export type BenchGraphRow = z.infer<typeof graphRow>;
export type BenchMeasuredGraph = z.infer<typeof measuredGraph>;
export type BenchMaskSite = z.infer<typeof maskSite>;
export type BenchMaskSearch = z.infer<typeof maskSearch>;
export type BenchContender = z.infer<typeof contender>;

/** A line of memory-rows.jsonl after the first: a finished run of `bench memory`. */
export const memoryEntrySchema = z.object({ key: z.string(), row: memoryRow });
export type BenchMemoryEntry = z.infer<typeof memoryEntrySchema>;

/** A line of rows.jsonl after the first: a finished part of `bench quality`. */
export const entrySchema = z.union([
  z.object({ dense: quality.shape.dense }),
  z.object({ survey }),
  z.object({ key: z.string(), row: rowSchema }),
]);
export type BenchEntry = z.infer<typeof entrySchema>;
