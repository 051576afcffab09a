import {
  ADMM_STARTS,
  ALLOCATIONS,
  BIASES,
  DTYPES,
  FFN_SOLVERS,
  FORMATS,
  LAYER_WEIGHTS,
  MASKS,
  METHOD_NAMES,
  type PruneOptions,
  SCOPES,
  SELECTIONS,
  type Settings,
  settingsOf,
} from '../../pruning/options';
import type { Flag, FlagTable } from './flag';
import { MACHINE_FLAGS } from './machine';
import {
  count,
  countOrNone,
  nonNegative,
  parameters,
  positive,
  share,
  shareBelowOne,
  size,
} from './values';

const how = 'How much';
const data = 'Text';
const what = 'Method';
const block = 'StruPrune, inside a block';
const between = 'StruPrune, between blocks';
const out = 'Output';
const machine = 'Machine';

/** A flag for every option of prune(): the type lets none be forgotten. */
export const PRUNE_FLAGS: FlagTable<
  keyof Omit<PruneOptions, 'engine' | 'signal' | 'onProgress' | 'onWarning' | 'onNotice'>
> = {
  sparsity: {
    flag: '--sparsity <share>',
    help: "share of the blocks' linear weights to remove, 0.2 for 20 %",
    group: how,
    parse: shareBelowOne,
    alternative: true,
  },
  targetParams: {
    flag: '--target-params <n>',
    help: 'instead: parameters that the output may have, for example 1.5M',
    group: how,
    parse: parameters,
    alternative: true,
  },
  targetSize: {
    flag: '--target-size <size>',
    help: "instead: largest size of the output's weight files, for example 200MiB",
    group: how,
    parse: size,
    alternative: true,
  },

  calibration: {
    flag: '--calibration <file>',
    help: 'UTF-8 text whose first tokens calibrate',
    group: data,
    required: true,
  },
  calibrationTokens: {
    flag: '--calibration-tokens <n>',
    help: 'how many of them',
    group: data,
    parse: count,
  },
  tuneTokens: {
    flag: '--tune-tokens <n>',
    help: 'how many after them tune what the solve left: factors of channels, norms and biases, towards the dense model; 0: none',
    group: data,
    parse: countOrNone,
  },
  window: {
    flag: '--window <tokens>',
    help: 'tokens of a calibration window',
    group: data,
    parse: count,
    fallback: "1024, or the model's positions where it has fewer",
  },
  eval: { flag: '--eval <file>', help: 'text for perplexity before and after', group: data },
  evalTokens: {
    flag: '--eval-tokens <n>',
    help: 'use its first n tokens',
    group: data,
    parse: count,
    fallback: 'all',
  },
  evalWindow: {
    flag: '--eval-window <tokens>',
    help: 'tokens of an evaluation window',
    group: data,
    parse: count,
    fallback: 'that of --window',
  },
  saveCalibration: {
    flag: '--save-calibration <file>',
    help: 'keep the survey, to make other ratios without it',
    group: data,
  },
  fromCalibration: {
    flag: '--from-calibration <file>',
    help: 'take the survey from such a file',
    group: data,
  },

  output: {
    flag: '-o, --output <path>',
    help: 'folder (hf) or .gguf file to write',
    group: out,
    required: true,
  },
  format: {
    flag: '--format <name>',
    help: 'what to write',
    group: out,
    choices: FORMATS,
    fallback: 'gguf where the output ends in .gguf, else hf',
  },
  dtype: {
    flag: '--dtype <name>',
    help: 'weights of the output; from q8_0 on for gguf alone; embeddings and head have 8 bits at least',
    group: out,
    choices: DTYPES,
    fallback:
      "a .gguf file of a quantised source: what is refitted in the type of the source's o and down or one of as many bits, the rest as it is; else the source's own, or f16",
  },
  force: { flag: '--force', help: 'replace an output or a journal that is there', group: out },
  resume: {
    flag: '--resume',
    help: 'go on with what a killed or failed run of the same command had finished',
    group: out,
  },
  maxShardBytes: {
    flag: '--max-shard-size <size>',
    help: "split a folder's safetensors past this size",
    group: out,
    parse: size,
    fallback: '5 GB',
  },
  samples: {
    flag: '--samples',
    help: '40 greedy tokens of the model before and after',
    group: out,
    fallback: 'on, off with --json',
  },

  method: {
    flag: '--method <name>',
    help: 'how groups are chosen',
    group: what,
    choices: METHOD_NAMES,
  },
  allocation: {
    flag: '--allocation <name>',
    help: 'how the sparsity is spread over the layers',
    group: what,
    choices: ALLOCATIONS,
    fallback: "threshold for struprune, else the method's own",
  },
  scope: {
    flag: '--scope <name>',
    help: 'prune FFN channels, KV heads with their query heads, or both',
    group: what,
    choices: SCOPES,
    fallback: 'all; ffn with --allocation uniform',
  },
  apart: { flag: '--apart', help: 'allocate FFN and attention each by itself', group: what },
  maxLayerSparsity: {
    flag: '--max-layer-sparsity <share>',
    help: 'most of one layer that may go',
    group: what,
    parse: share,
  },
  multiple: {
    flag: '--multiple <n>',
    help: 'FFN widths are multiples of n; where that is no multiple of 32, f16 replaces a quantised default of --dtype',
    group: what,
    parse: count,
    fallback: '8, or 32 from q8_0 on',
  },
  seed: {
    flag: '--seed <n>',
    help: 'same seed, same bytes; drawn Fisher labels depend on it',
    group: what,
    parse: countOrNone,
  },

  mask: { flag: '--mask <name>', help: 'how a mask is found', group: block, choices: MASKS },
  admmStart: {
    flag: '--admm-start <name>',
    help: 'what gives ADMM its first mask',
    group: block,
    choices: ADMM_STARTS,
  },
  admmRho: {
    flag: '--admm-rho <x>',
    help: 'first ρ of ADMM, where the scaled H has a diagonal of 1',
    group: block,
    parse: positive,
  },
  admmGrowth: {
    flag: '--admm-growth <x>',
    help: 'factor on ρ after every step that changed the mask',
    group: block,
    parse: positive,
  },
  admmTolerance: {
    flag: '--admm-tolerance <x>',
    help: 'both relative residuals must be below it',
    group: block,
    parse: positive,
  },
  admmIterations: {
    flag: '--admm-iterations <n>',
    help: 'steps of ADMM at most',
    group: block,
    parse: count,
  },
  selection: {
    flag: '--selection <name>',
    help: 'what the sweep orders removals by: plain squares, or the Fisher metric',
    group: block,
    choices: SELECTIONS,
  },
  lambda: {
    flag: '--lambda <x>',
    help: 'ridge, as a share of the diagonal of the Gram matrix',
    group: block,
    parse: nonNegative,
  },
  swaps: {
    flag: '--swaps <n>',
    help: 'at most n exchanges of kept and removed groups after the mask',
    group: block,
    parse: countOrNone,
  },
  refit: { flag: '--no-refit', help: 'leave the kept weights as they are', group: block },
  ffnSolver: {
    flag: '--ffn-solver <name>',
    help: 'what of an FFN is refitted: its output map, or gate and up too, by auxiliary variables or Gauss-Newton',
    group: block,
    choices: FFN_SOLVERS,
    fallback:
      'gauss-newton; output where the file keeps gate and up byte for byte, with --no-refit, and with other methods',
  },
  auxiliaryIterations: {
    flag: '--auxiliary-iterations <n>',
    help: 'iterations of the auxiliary variables, each with a refit of the output map',
    group: block,
    parse: count,
  },
  gaussNewtonRounds: {
    flag: '--gauss-newton-rounds <n>',
    help: 'linearisations of an FFN, each with a refit of its output map',
    group: block,
    parse: count,
  },
  gaussNewtonSteps: {
    flag: '--gauss-newton-steps <n>',
    help: 'conjugate gradient steps of a round',
    group: block,
    parse: count,
  },
  ffnTokens: {
    flag: '--ffn-tokens <n>',
    help: 'calibration tokens of a round or iteration over gate and up; the refits of the output map take all',
    group: block,
    parse: count,
  },
  bias: {
    flag: '--bias <what>',
    help: "output maps' biases: keep as they are, refit where they exist, or add",
    group: block,
    choices: BIASES,
  },

  sequential: {
    flag: '--no-sequential',
    help: 'solve every block on inputs of the dense model',
    group: between,
  },
  alpha: {
    flag: '--alpha <share>',
    help: 'share of the error so far that a block is asked to undo',
    group: between,
    parse: share,
    fallback: '0.5; 0 for post-norm models and without sequential inputs or a refit',
  },
  beta: {
    flag: '--beta <share>',
    help: "share of the dense output in a block's target",
    group: between,
    parse: share,
    fallback: '0.5; 0 for post-norm models and without sequential inputs or a refit',
  },
  layerWeights: {
    flag: '--layer-weights <name>',
    help: 'what an error of a layer is worth',
    group: between,
    choices: LAYER_WEIGHTS,
  },
  fisherLabels: {
    flag: '--fisher-labels <name>',
    help: "labels of the Fisher metric: the text's, or drawn from the model",
    group: between,
    choices: ['empirical', 'sampled'],
  },
  surveyTokens: {
    flag: '--survey-tokens <n>',
    help: 'calibration tokens of the survey before allocation',
    group: between,
    parse: count,
  },
  energyForm: {
    flag: '--energy-form <name>',
    help: 'form of the energy allocation',
    group: between,
    choices: ['dilute', 'full'],
  },
  temperature: {
    flag: '--temperature <t>',
    help: 'of the energy allocation',
    group: between,
    parse: positive,
    fallback: 'the one with the least predicted error',
  },

  ...MACHINE_FLAGS,
  scratch: {
    flag: '--scratch <folder>',
    help: 'where hidden states are paged to',
    group: machine,
    fallback: "the system's temporary folder",
  },
};

/** Spelled-out opposites, and what only the command line has. */
export const PRUNE_EXTRAS: readonly Flag[] = [
  { flag: '--no-samples', help: 'leave the samples out', group: out },
  {
    flag: '--report [file]',
    help: 'also write an HTML report; without a name OUT/report.html, or OUT.report.html for gguf',
    group: out,
  },
  { flag: '--json', help: 'JSON alone on stdout', group: out },
  { flag: '--keep-bias', help: 'the same as --bias keep', group: block },
];

/** The library's defaults, for help and documentation; what must be given has none. */
export const PRUNE_DEFAULTS: Partial<Settings> = (() => {
  const given = { output: '-', calibration: '-', sparsity: 0 };
  const settings = Object.entries(settingsOf(given)).filter(([key]) => !(key in given));
  return Object.fromEntries(settings);
})();

/** plan takes what prune takes, and asks for nothing. */
export const PLAN_FLAGS = Object.fromEntries(
  Object.entries(PRUNE_FLAGS).map(([key, flag]) => [
    key,
    { ...flag, required: false, alternative: false },
  ]),
) as typeof PRUNE_FLAGS;
