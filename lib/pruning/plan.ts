/**
 * What a run will need before it starts: memory stage by stage, scratch and room beside the output,
 * and work. From the architecture and the settings alone; no weight is read.
 */
import { storageBytes } from '../checkpoint/container';
import { auxiliaryBytes, gaussNewtonBytes } from '../engine/ffn-bytes';
import type { GpuNeeds } from '../engine/gpu-needs';
import type { Site } from '../engine/native';
import {
  applySiteBytes,
  backwardBytes,
  blockBytes,
  copyStatesBytes,
  divergenceBytes,
  divergenceGradientBytes,
  embedBytes,
  encodeBytes,
  expectHeadBytes,
  factorBytes,
  ffnInputs,
  ffnTokensBytes,
  type Ground,
  headGradientBytes,
  runSiteBytes,
  type States,
  scoreBytes,
  siteWidth,
  statesBytes,
  statisticsBytes,
} from '../engine/native-bytes';
import { keptReserve, modelReserve, processReserve } from '../engine/reserve';
import { SITES } from '../engine/session';
import {
  admmBytes,
  type Problem,
  problemBytes,
  refitBytes,
  sliceBytes,
  swapBytes,
  sweepBytes,
  targetBytes,
} from '../engine/solver-bytes';
import { DOUBLE, FLOAT } from '../engine/tile-bytes';
import { batchTokens } from '../evaluate';
import type { Method } from '../methods';
import type { Architecture, Dtype, ModelSource, Stored } from '../model/architecture';
import { elements, embeddingWidth, modelShapes } from '../model/axes';
import { linearParameters, totalParameters } from '../model/groups';
import { Own } from '../own';
import { gaussNewtonFlops } from '../solver/gauss-newton';
import { STEPS } from '../stages/tune';
import type { FactorPlaces } from '../tuning/factors';
import { feeds, type RunSettings } from './options';
import { probeTokens, TOGETHER, trialRemovals } from './probe';
import { refitsInputs, solvesSequentially } from './solve';
import { tuneShares } from './texts';
import { type Layer, layerAt, widthOf } from './widths';

/** Arrays of SiteStatistics, a number a column each. */
const COLUMN_STATISTICS = 4;

export type StageName = 'evaluate' | 'survey' | 'solve' | 'tune';

export interface StagePlan {
  stage: StageName;
  /** Peak of what the native side allocates, bytes. */
  memory: number;
  /** Bytes in scratch files at the same time. */
  scratch: number;
  /** What lies there. */
  paged: string[];
  /** Products in single precision (forward, backward, Grams), and in double (solvers). */
  flops: { single: number; double: number };
}

export interface RunPlan {
  stages: StagePlan[];
  /** Largest memory of the stages, with what the process takes beside it, bytes: what --memory limits. */
  memory: number;
  /** What the process takes beside the native side. */
  reserve: number;
  /** Largest scratch of the stages, bytes. */
  scratch: number;
  /** Bytes beside the output: the journal with its survey and the output, for a while both. An upper bound: nothing removed. */
  disk: number;
  /** Hidden states of the solve and of evaluations go to scratch, and of tiled matrices what does not fit. */
  statesPaged: boolean;
  /** Most of the GPU's memory at once, and most passes over the tokens that sums need with it; null on the CPU. */
  device: { memory: number; passes: number } | null;
}

export interface PlanInput {
  source: ModelSource;
  architecture: Architecture;
  settings: RunSettings;
  /** null: StruPrune. */
  method: Method | null;
  /** What the output holds. */
  stored: Stored;
  layers: readonly Layer[];
  /** Groups that go from each layer where all give the same share, which the flops of the rest are guessed by. */
  evenly: Int32Array;
  window: number;
  threads: number;
  /** Calibration tokens, whole windows. */
  tokens: number;
  /** Windows of the text that tunes; 0: nothing is tuned. */
  tuning: number;
  /** Of the output if nothing were removed. */
  factors: FactorPlaces;
  /** Evaluation tokens and their window; null without one. */
  evaluation: { tokens: number; window: number } | null;
  /** Whether the run makes a dense survey. */
  surveys: boolean;
  /** It makes nothing else, as survey(). */
  surveyOnly?: boolean;
  /** Where sites and the head run; null = on the CPU. */
  gpu: GpuNeeds | null;
}

/**
 * The plan under a limit in bytes (0 = none): hidden states and tiles are paged where they do not all fit.
 * @throws StruPruneError ERR_BUDGET when a site, a refit's pass or the head does not fit the GPU's memory
 */
export function planRun(input: PlanInput, limit: number): RunPlan {
  const resident = planWith(input, false);
  return limit === 0 || resident.memory <= limit ? resident : planWith(input, true);
}

/** The smallest limit under which the run can be done. */
export function smallestMemory(input: PlanInput): number {
  return Math.min(planWith(input, true).memory, planWith(input, false).memory);
}

function planWith(input: PlanInput, paged: boolean): RunPlan {
  const { surveyOnly = false } = input;
  const stages = surveyOnly ? [] : [evaluateStage(input, paged)];
  if (input.surveys && input.settings.fromCalibration === undefined)
    stages.push(surveyStage(input, paged));
  if (!surveyOnly) stages.push(solveStage(input, paged));
  if (!surveyOnly && tuneShares(input.tuning)) stages.push(tuneStage(input));
  const most = (key: 'memory' | 'scratch') => Math.max(...stages.map((stage) => stage[key]));
  const output = outputBytes(input);
  const kept = keptOf(input);
  const survey = DOUBLE * (kept.curves + kept.statistics) + keptMetricBytes(input);
  const saved = input.settings.saveCalibration === undefined ? 0 : survey;
  const disk = surveyOnly ? saved : 2 * output + survey;
  const reserve = processReserve(input.threads) + modelReserve(input.source) + keptReserve(kept);
  const device = input.gpu && { memory: input.gpu.peakBytes, passes: input.gpu.passes };
  return {
    stages,
    memory: reserve + most('memory'),
    reserve,
    scratch: most('scratch'),
    disk,
    statesPaged: paged,
    device,
  };
}

/** Of the dense model in the output's dtypes, in runs of 32, the storage block of the narrowest. */
function outputBytes({ architecture, stored, source }: PlanInput): number {
  const sum = (counts: number[]) => counts.reduce((total, count) => total + count, 0);
  const ends = sum(Object.values(modelShapes(architecture)).map(elements));
  const bytesOf = (count: number, dtype: Dtype) =>
    Math.ceil(count / 32) * storageBytes(dtype, [32]);
  const asSource = source.blocks.flatMap((refs) =>
    stored.asSource.flatMap((role) => refs[role] ?? []),
  );
  const inside =
    totalParameters(architecture) - ends - sum(asSource.map(({ shape }) => elements(shape)));
  return (
    (stored.ends
      ? bytesOf(ends, stored.ends)
      : sum(Object.values(source.model).map((ref) => ref.bytes))) +
    sum(asSource.map((ref) => ref.bytes)) +
    bytesOf(inside, stored.matrices)
  );
}

/** Numbers of what lasts as long as the run: see keptReserve. */
function keptOf({ layers, method, surveys, tokens, tuning, window, factors }: PlanInput) {
  const sum = (of: (layer: Layer) => number) =>
    layers.reduce((total, layer) => total + of(layer), 0);
  const scores = method?.selection === 'scores';
  return {
    tokens: tokens + tuning * window,
    factors: tuneShares(tuning) ? factors.count : 0,
    groups: sum(({ groups }) => groups),
    curves: surveys ? sum(({ groups }) => groups + 1) : 0,
    statistics: surveys && scores ? sum((layer) => COLUMN_STATISTICS * widthOf(layer)) : 0,
  };
}

/** Fisher metrics of all layers, where the solve reads them too. */
function keptMetricBytes({ architecture, settings, method, layers, surveys }: PlanInput): number {
  if (!surveys || method !== null || settings.selection !== 'fisher') return 0;
  return FLOAT * layers.length * architecture.hidden ** 2;
}

function groundOf(
  { architecture, threads, gpu, stored }: PlanInput,
  window: number,
  tiled: boolean,
): Ground {
  return { architecture, threads, window, gpu, stored: stored.matrices, tiled };
}

/** Evaluation before and after, the check of the output, samples. The last window is always measured. */
function evaluateStage(input: PlanInput, paged: boolean): StagePlan {
  const { architecture, evaluation } = input;
  const runs = [
    { tokens: input.window, window: input.window },
    ...(evaluation ? [evaluation] : []),
  ];
  const rowsOf = ({ tokens, window }: (typeof runs)[number]) =>
    Math.min(tokens, batchTokens(architecture, window, input.gpu !== null));
  const memories = runs.map((run) =>
    forwardMemory(groundOf(input, run.window, paged), { rows: rowsOf(run), paged }),
  );
  const block = Math.max(
    ...architecture.blocks.map((_, index) =>
      blockBytes(groundOf(input, input.window, false), index),
    ),
  );
  const scratch = paged
    ? block +
      Math.max(...runs.map((run) => statesBytes(groundOf(input, run.window, false), rowsOf(run))))
    : 0;
  const measured = evaluation ? 2 * evaluation.tokens : 0;
  return {
    stage: 'evaluate',
    memory: Math.max(...memories),
    scratch,
    paged: paged ? ['hidden states', 'weights of the block at hand'] : [],
    flops: { single: forwardFlops(input) * (measured + input.window), double: 0 },
  };
}

/** Embedding, blocks and head, one after the other. */
function forwardMemory(ground: Ground, states: States): number {
  const blocks = eachBlock(ground.architecture, (block) => {
    const sites = SITES.map((site) =>
      runSiteBytes(ground, block, site, states, { collects: false }),
    );
    return blockBytes(ground, block) + Math.max(...sites);
  });
  const held = states.paged ? 0 : statesBytes(ground, states.rows);
  return held + Math.max(embedBytes(ground, states), blocks, scoreBytes(ground, states));
}

function surveyStage(input: PlanInput, paged: boolean): StagePlan {
  const { architecture, settings, method, layers, window } = input;
  const ground = groundOf(input, window, paged);
  const curves = method === null;
  const tokens = curves ? surveyTokens(input) : input.tokens;
  const states: States = { rows: tokens, paged: true };
  const { hidden, blocks } = architecture;
  const fisher = curves && settings.layerWeights === 'fisher';
  const probe = curves && settings.layerWeights === 'probe';
  const trial: States = { rows: probeTokens(tokens, window), paged: true };
  const reads = curves || method.statistics !== 'none';
  const sumsOf = (ground: Ground, layer: Layer) =>
    reads ? statisticsBytes(ground, widthOf(layer), curves) : 0;
  /** A layer's solver and what it does, the sums being there. */
  const solverOf = (ground: Ground, layer: Layer) => {
    if (!curves) return 0;
    const problem = problemOf(architecture, layer, { cross: false, fisher });
    const removed = layer.allowed.at(-1)! * layer.groupSize;
    return Math.max(
      targetBytes(ground, problem),
      sweepBytes(ground, problem, removed),
      probe ? trialMemory(ground, layer, problem, trial) : 0,
    );
  };
  const layersIn = (block: number) => layers.filter((layer) => layer.block === block);
  const runOf = (ground: Ground, block: number, site: Site, collects: boolean) =>
    reads ? runSiteBytes(ground, block, site, states, { collects, gram: collects && curves }) : 0;
  // Site by site, each with its own sums.
  const siteBySite = (ground: Ground, block: number) =>
    Math.max(
      ...SITES.map((site) => {
        const layer = layers[layerAt(layers, block, site)];
        if (!layer) return runOf(ground, block, site, false);
        const jobs = Math.max(runOf(ground, block, site, true), solverOf(ground, layer));
        return sumsOf(ground, layer) + jobs;
      }),
    );
  // Forward without any sums; then the sums of both sites and of the gradients there, while the gradient comes back.
  const withGradients = (ground: Ground, block: number) => {
    const sums = layersIn(block).map((layer) => sumsOf(ground, layer));
    const held = sums.reduce(
      (sum, bytes) => sum + bytes,
      2 * statisticsBytes(ground, hidden, true),
    );
    const solvers = layersIn(block).map((layer) => solverOf(ground, layer));
    return Math.max(
      ...SITES.map((site) => runOf(ground, block, site, false)),
      held + Math.max(backwardBytes(ground, block, tokens), ...solvers),
    );
  };
  const blockMemory = (ground: Ground) =>
    eachBlock(
      architecture,
      (block) => blockBytes(ground, block) + (fisher ? withGradients : siteBySite)(ground, block),
    );
  const memory = blockMemory(ground);
  const tiles = blockMemory({ ...ground, tiled: false }) - memory;
  const copies = fisher ? copyStatesBytes(ground, tokens) : 0;
  const ends = reads ? embedBytes(ground, states) : 0;
  const head = fisher
    ? headGradientBytes(ground, tokens)
    : probe
      ? Math.max(expectHeadBytes(ground, trial.rows), trialsMemory(ground, trial))
      : 0;
  const all = statesBytes(ground, tokens);
  const metrics = fisher
    ? statesBytes(ground, settings.selection === 'fisher' ? layers.length * hidden : hidden)
    : 0;
  const passes = fisher ? 3 : 1; // forward, and backward with its own forward
  // Twice for the reference and the states; for every trial the blocks from its own on, half of them on average.
  const trials = probe ? trial.rows * (2 + layers.length / 2) : 0;
  // The dense model's, its predictions, one trial's and those on their way.
  const trialStates = probe ? (3 + TOGETHER) * statesBytes(ground, trial.rows) : 0;
  return {
    stage: 'survey',
    memory: Math.max(memory, copies, ends, head),
    scratch: reads ? all * (fisher ? blocks.length + 2 : 1) + metrics + trialStates + tiles : 0,
    paged: [
      ...(reads ? ['hidden states'] : []),
      ...(fisher ? ['gradients', 'Fisher metrics'] : []),
      ...(tiles > 0 ? ['Gram matrices and factors', 'weights of the block at hand'] : []),
    ],
    flops: {
      single: reads
        ? forwardFlops(input) * (passes * tokens + trials) + gramFlops(input, tokens)
        : 0,
      double: curves ? sweepFlops(input) : 0,
    },
  };
}

/** The start of a probe's trial, the survey's block and sums being there: the refit, then its site in a block of its own. */
function trialMemory(ground: Ground, layer: Layer, problem: Problem, trial: States): number {
  const { block, site } = layer;
  const kept = (layer.groups - trialRemovals(layer, null)) * layer.groupSize;
  const held = problemBytes(ground, problem);
  const own = blockBytes(ground, block);
  const run = held + runSiteBytes(ground, block, site, trial, { collects: false });
  const copies = held + copyStatesBytes(ground, trial.rows);
  return Math.max(own + Math.max(refitBytes(ground, problem, kept), run), copies);
}

/** Some trials on their way through the rest of the model, of which a block is there at a time. */
function trialsMemory(ground: Ground, trial: States): number {
  const blocks = eachBlock(ground.architecture, (block) => {
    const runs = SITES.map((site) => runSiteBytes(ground, block, site, trial, { collects: false }));
    return blockBytes(ground, block) + Math.max(...runs);
  });
  const ends = Math.max(divergenceBytes(ground, trial.rows), copyStatesBytes(ground, trial.rows));
  return Math.max(blocks, ends);
}

function surveyTokens({ settings, window, tokens }: PlanInput): number {
  return Math.min(tokens, Math.max(1, Math.floor(settings.surveyTokens / window)) * window);
}

function solveStage(input: PlanInput, paged: boolean): StagePlan {
  const { architecture, settings, method, layers, window, tokens } = input;
  const ground = groundOf(input, window, paged);
  const { hidden } = architecture;
  const scored =
    method !== null &&
    (method.statistics === 'none' || (method.selection === 'scores' && method.inputs === 'dense'));
  const feedback = feeds(settings);
  const gram = method === null || method.selection === 'sweep';
  const sequential = solvesSequentially({ settings, method });
  const states: States = { rows: tokens, paged };
  const held = scored || paged ? 0 : statesBytes(ground, tokens) * (feedback ? 2 : 1);
  const copy = feedback && !paged ? statesBytes(ground, tokens) : 0;
  const check: States = { rows: window, paged: false };
  // Floats of a token in scratch beside the hidden states.
  let keptWidth = 0;
  const blockMemory = (ground: Ground) =>
    eachBlock(architecture, (block) => {
      const parts: number[] = [encodeBytes(ground, block)];
      for (const site of SITES) {
        parts.push(runSiteBytes(ground, block, site, check, { collects: false }));
        const layer = layers[layerAt(layers, block, site)];
        if (scored) continue;
        if (!layer) {
          parts.push(runSiteBytes(ground, block, site, states, { collects: false }));
          continue;
        }
        const inputsToo = refitsInputs({ settings, method }, site);
        // What runsAgain says of the session that there will be.
        const keeps = sequential && !inputsToo && ground.gpu === null;
        if (inputsToo) keptWidth = Math.max(keptWidth, ffnInputs(architecture) + hidden);
        else if (keeps) keptWidth = Math.max(keptWidth, widthOf(layer));
        const sums = statisticsBytes(ground, widthOf(layer), gram, feedback ? hidden : 0);
        const jobs = [
          runSiteBytes(ground, block, site, states, {
            collects: true,
            gram,
            feedback,
            inputs: inputsToo,
          }) + (inputsToo ? ffnTokensBytes(ground, tokens) : 0),
          keeps ? applySiteBytes(ground, block, site, states) : 0,
          sequential && !keeps ? runSiteBytes(ground, block, site, states, { collects: false }) : 0,
          gram ? solverMemory(input, ground, layer, feedback) : 0,
        ];
        parts.push(copy + sums + Math.max(...jobs));
        if (inputsToo) {
          const further = settings.gaussNewtonSteps > 1;
          const solver =
            settings.ffnSolver === 'auxiliary'
              ? auxiliaryBytes(ground, layer.groups, tokens)
              : gaussNewtonBytes(ground, layer.groups, tokens, further);
          parts.push(copy + solver);
        }
      }
      return blockBytes(ground, block) + Math.max(...parts);
    });
  const memory = blockMemory(ground);
  const tiles = blockMemory({ ...ground, tiled: false }) - memory;
  const ends = Math.max(embedBytes(ground, states), scoreBytes(ground, check));
  const metrics = keptMetricBytes(input);
  const scratch =
    FLOAT * tokens * keptWidth +
    tiles +
    metrics +
    (paged && !scored ? statesBytes(ground, tokens) * (feedback ? 3 : 1) : 0);
  return {
    stage: 'solve',
    memory: held + statesBytes(ground, window) + Math.max(memory, ends),
    scratch,
    paged: [
      ...(keptWidth > 0 ? ['inputs of the site at hand'] : []),
      ...(paged && !scored ? ['hidden states'] : []),
      ...(metrics > 0 ? ['Fisher metrics'] : []),
      ...(tiles > 0 ? ['Gram matrices and factors', 'weights of the block at hand'] : []),
    ],
    flops: {
      single: scored
        ? 0
        : (feedback ? 2 : 1) * forwardFlops(input) * tokens +
          (gram ? gramFlops(input, tokens) : 0) +
          inputRefitFlops(input),
      double: gram ? sweepFlops(input) : 0,
    },
  };
}

/** The dense model's predictions, steps forward and back, and what they came to. Its states always go to scratch. */
function tuneStage(input: PlanInput): StagePlan {
  const { architecture, window, tuning, factors } = input;
  const ground = groundOf(input, window, true);
  const { hidden, blocks } = architecture;
  const shares = tuneShares(tuning)!;
  const rowsOf = (windows: number): States => ({ rows: windows * window, paged: true });
  const all = rowsOf(tuning);
  const exam = rowsOf(shares.heldOut);
  const lesson = rowsOf(Math.ceil(shares.train / STEPS));
  const blockMemory = (ground: Ground) =>
    eachBlock(architecture, (block) => {
      const runs = [all, exam, lesson, rowsOf(1)].flatMap((states) =>
        SITES.map((site) => runSiteBytes(ground, block, site, states, { collects: false })),
      );
      const back = backwardBytes(ground, block, lesson.rows);
      const sums = factorBytes(ground, block, lesson.rows, factors.blocks[block] ?? []);
      return blockBytes(ground, block) + Math.max(...runs, back + sums);
    });
  const memory = blockMemory(ground);
  const tiles = blockMemory({ ...ground, tiled: false }) - memory;
  const ends = [
    embedBytes(ground, all),
    expectHeadBytes(ground, all.rows),
    divergenceBytes(ground, exam.rows),
    divergenceGradientBytes(ground, lesson.rows),
    copyStatesBytes(ground, lesson.rows),
    scoreBytes(ground, rowsOf(1)),
  ];
  // Means as wide as states: of all windows, of those held out and of a step's; states of one forward pass, and gradients.
  const rows = 2 * all.rows + 2 * exam.rows + (blocks.length + 3) * lesson.rows;
  const passes = STEPS * exam.rows + 4 * shares.train * window + all.rows + 2 * exam.rows;
  return {
    stage: 'tune',
    memory: Math.max(memory, ...ends),
    scratch: FLOAT * rows * Math.max(hidden, embeddingWidth(architecture)) + tiles,
    paged: ['hidden states', 'gradients', 'predictions', 'weights of the block at hand'],
    flops: { single: forwardFlops(input) * passes, double: 0 },
  };
}

/** The site's mask and its refit, whichever needs more. How many columns go is known later: the worst is taken. */
function solverMemory(
  { architecture, settings, method }: PlanInput,
  ground: Ground,
  layer: Layer,
  cross: boolean,
): number {
  const fisher = settings.selection === 'fisher' && method === null;
  const problem = problemOf(architecture, layer, { cross, fisher });
  const columns = widthOf(layer);
  const most = layer.allowed.at(-1)! * layer.groupSize;
  const mask = method === null ? settings.mask : 'sweep';
  const sweeps = mask === 'sweep' || (mask === 'admm' && settings.admmStart === 'sweep');
  const swaps = method === null ? settings.swaps > 0 : method.selection === 'sweep' && method.swap;
  return Math.max(
    targetBytes(ground, problem),
    sweeps || mask instanceof Own ? sweepBytes(ground, problem, most) : 0,
    mask === 'admm' || mask instanceof Own ? admmBytes(ground, problem) : 0,
    swaps ? swapBytes(ground, problem, columns - layer.groupSize) : 0,
    settings.refit || method !== null
      ? refitBytes(ground, problem, columns)
      : sliceBytes(ground, problem, columns),
  );
}

function problemOf(
  { hidden }: Architecture,
  layer: Layer,
  { cross, fisher }: { cross: boolean; fisher: boolean },
): Problem {
  return { inputs: widthOf(layer), outputs: hidden, group: layer.groupSize, cross, fisher };
}

/** The most of all blocks; those of one width need the same. */
function eachBlock({ blocks }: Architecture, bytes: (block: number) => number): number {
  const unlike = new Map(
    blocks.map(({ ffn, heads, kvHeads }, block) => [`${ffn} ${heads} ${kvHeads}`, block]),
  );
  return Math.max(...[...unlike.values()].map(bytes));
}

/** Useful flops of a token's way through blocks and, as an upper bound, the head. */
function forwardFlops({ architecture, window }: PlanInput): number {
  const { blocks, headDim } = architecture;
  const attention = blocks.reduce((sum, { heads }) => sum + 2 * heads * headDim * window, 0);
  return 2 * linearParameters(architecture) + attention;
}

function gramFlops({ architecture, layers }: PlanInput, tokens: number): number {
  // Lower triangle: two flops a pair of columns and token, of half of the pairs.
  const width = (site: Site, block: number) => siteWidth(architecture, block, site);
  return layers.reduce((sum, { site, block }) => sum + width(site, block) ** 2 * tokens, 0);
}

/** Passes over an FFN's gate and up (`all`), its output map (`out`) and Grams of its channels. */
function inputRefitFlops(input: PlanInput): number {
  const { architecture, settings, method, layers, evenly, tokens } = input;
  const { ffnSolver, auxiliaryIterations, gaussNewtonRounds, gaussNewtonSteps: steps } = settings;
  const { hidden, gated } = architecture;
  const auxiliary = ffnSolver === 'auxiliary';
  const rounds = auxiliary ? auxiliaryIterations : gaussNewtonRounds;
  return layers.reduce((sum, layer, l) => {
    if (!refitsInputs({ settings, method }, layer.site)) return sum;
    const kept = layer.groups - evenly[l]!;
    const out = 2 * kept * hidden;
    const parts = gated ? 2 : 1;
    const all = parts * out;
    const newton = gaussNewtonFlops({ width: kept, hidden, parts });
    const directions = steps * newton.direction + (steps - 1) * newton.back;
    const move = auxiliary ? 2 * all + 2 * out + 2 * hidden ** 2 : newton.gradient + directions;
    const refit = tokens * newton.refit;
    // The targets, and the hidden states' way through the refitted maps.
    const once = tokens * (all + out);
    return sum + rounds * (Math.min(tokens, settings.ffnTokens) * move + refit) + once;
  }, 0);
}

/** Cholesky, inverse, Q, downdates, the curve and the refit, in n³ of the site. */
function sweepFlops({ architecture: { hidden }, layers, method }: PlanInput): number {
  return layers.reduce((sum, layer) => {
    const n = widthOf(layer);
    // Where groups go in rounds, each makes the state that a sweep begins with: a half of its work.
    const rounds = method?.selection === 'sweep' ? method.rounds?.[layer.site] : undefined;
    const times = rounds === undefined ? 1 : Math.max(1, rounds / 2);
    return sum + times * (4 * n ** 3 + 6 * hidden * n ** 2);
  }, 0);
}
