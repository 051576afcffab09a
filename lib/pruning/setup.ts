/** What a run is, from its settings and the checkpoint's header: whatever can be refused is refused here. */
import { join } from 'node:path';
import { allocate, type Budget, type JointAllocation } from '../allocation';
import { isQuantised } from '../checkpoint/container';
import {
  type ExportDtype,
  type ExportPlan,
  type ExportRequest,
  planExport,
  roundingFor,
  storedAs,
  weightFileBytes,
} from '../checkpoint/export';
import { AS_FOLDER } from '../checkpoint/output-path';
import { SITES } from '../engine/session';
import { StruPruneError } from '../errors';
import { calibrationWindow } from '../evaluate';
import { readJsonObject } from '../json-object';
import { type Method, methodOf } from '../methods';
import { type Architecture, FEW_STEPS, type ModelSource, type Stored } from '../model/architecture';
import { linearParameters, totalParameters } from '../model/groups';
import { Own } from '../own';
import { factorPlaces } from '../tuning/factors';
import { atOnce } from '../turns';
import {
  dtypeFor,
  keepsTypes,
  mixedBytes,
  quantisedTypes,
  rowsIn,
  takenOverFrom,
  typeNotes,
} from './dtypes';
import { type Feedback, feeds, type RunSettings, refitsByDefault, type Settings } from './options';
import type { PlanInput } from './plan';
import { refitsInputs } from './solve';
import {
  allocationLayers,
  budgetFor,
  budgetOfShare,
  type Layer,
  layersOf,
  plannedArchitecture,
  type TargetFacts,
} from './widths';

/** What decides the output's shape, known before any work. */
export interface Setup {
  source: ModelSource;
  settings: RunSettings;
  /** null: StruPrune. */
  method: Method | null;
  /** Of what is refitted, and of all else that is not taken over. */
  dtype: ExportDtype;
  takenOver: ExportRequest['takenOver'];
  stored: Stored;
  layers: Layer[];
  window: number;
  /** Of a GGUF output, where a target in bytes asks for it; else 0. */
  tokenizerBytes: number;
  /** What a user may not expect of the output. */
  notes: string[];
}

/** @throws StruPruneError ERR_ARGUMENT, ERR_UNSUPPORTED */
export function setUp(source: ModelSource, settings: Settings, tokenizerBytes = 0): Setup {
  const { architecture } = source;
  const method = settings.method === 'struprune' ? null : methodOf(settings.method);
  const dtype = dtypeFor(source, settings);
  const { allocation } = settings;
  // A rule of the caller's reads the same curves as the threshold.
  const kind = allocation instanceof Own ? 'threshold' : allocation;
  if (method && !method.allocations.includes(kind)) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `method ${method.name} has no ${allocation} allocation`,
      `choose ${method.allocations.join(' or ')}`,
    );
  }
  if (allocation instanceof Own && settings.apart) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      '--apart is for the rules of this program: an own allocation sees all layers and their scope',
      'leave --apart out',
    );
  }
  if (method && settings.bias === 'add') {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `method ${method.name} adds no biases of a refit`,
      'leave --bias add out, or choose --method struprune',
    );
  }
  const feedback = feedbackOf(architecture, method, settings);
  const ffnSolver = ffnSolverOf(source, settings);
  if (ffnSolver !== 'output' && !settings.refit) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `the FFN solver ${ffnSolver} refits the output map too`,
      'leave --no-refit out, or choose --ffn-solver output',
    );
  }
  const metrics = method === null && allocation !== 'uniform' && settings.layerWeights === 'fisher';
  if (settings.selection === 'fisher' && !metrics) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      'selection fisher needs the Fisher metrics of a survey',
      'choose --allocation threshold or energy with --layer-weights fisher',
    );
  }
  const window = calibrationWindow(architecture, settings.window);
  requireNoSliding(settings, architecture, window);
  requireMultiple(settings, dtype);
  const refitsFfn = refitsInputs({ settings: { ffnSolver }, method }, 'ffn');
  const takenOver = takenOverFrom(source, settings, rowsIn(settings.scope, refitsFfn));
  const types = {
    source,
    dtype,
    takenOver,
    stored: storedAs({ format: settings.format, dtype, takenOver }),
  };
  const loses =
    settings.ffnSolver === undefined && ffnSolver === 'output' && refitsByDefault(settings);
  const setup: Setup = {
    ...types,
    settings: { ...settings, ...feedback, ffnSolver },
    method,
    notes: [
      ...typeNotes(types),
      ...(loses ? [KEPT] : []),
      ...(settings.tuneTokens > 0 && FEW_STEPS.includes(dtype) ? [NORMS_ALONE] : []),
    ],
    layers: layersOf(architecture, settings, dtype),
    window,
    tokenizerBytes,
  };
  requireCalibrationUse(setup);
  // A first look at the output: what nothing can hold is refused now.
  const { removed } = uniformAllocation(setup);
  if (allocation !== 'uniform') {
    // Widths that differ, as they may come out.
    for (const site of SITES) {
      const first = setup.layers.findIndex((layer) => layer.site === site);
      if (first !== -1) removed[first] = 0;
    }
  }
  planOutput(setup, removed);
  return setup;
}

/** Of the error before a block, and of the dense output: docs/decisions/0006. */
const FEEDBACK = 0.5;

/** What was asked for; else the default, where the model and the method can have it. */
function feedbackOf(
  { norm }: Architecture,
  method: Method | null,
  { alpha, beta, sequential, refit }: Settings,
): Feedback {
  if (method !== null) return { alpha: 0, beta: 0 };
  const usual = sequential && refit && norm.placement === 'pre' ? FEEDBACK : 0;
  const feedback = { alpha: alpha ?? usual, beta: beta ?? usual };
  if (feeds(feedback) && norm.placement === 'post') {
    throw new StruPruneError(
      'ERR_UNSUPPORTED',
      'feedback (alpha, beta) needs a pre-norm model',
      'leave --alpha and --beta at 0',
    );
  }
  return feedback;
}

const KEPT =
  'gate and up stay as the source has them: --ffn-solver gauss-newton refits them, and rounds them anew';

const NORMS_ALONE =
  'norms and biases alone are tuned: factors of columns would change every code of a type of 4 or 5 bits';

/** What was asked for; else gate and up too, but where the output keeps theirs byte for byte: docs/decisions/0015. */
function ffnSolverOf(source: ModelSource, settings: Settings): RunSettings['ffnSolver'] {
  if (settings.ffnSolver !== undefined) return settings.ffnSolver;
  const alone = keepsTypes(source, settings) || !refitsByDefault(settings);
  return alone ? 'output' : 'gauss-newton';
}

/** Channels of a multiple of 8 alone may leave rows that quantised types cannot hold, once widths differ. */
function requireMultiple({ format, scope, multiple }: Settings, dtype: ExportDtype): void {
  const { ffn } = roundingFor(format, dtype);
  if (!isQuantised(dtype) || scope === 'attention') return;
  if (multiple === undefined || multiple % ffn === 0) return;
  throw new StruPruneError(
    'ERR_ARGUMENT',
    `${dtype.toLowerCase()} holds rows in blocks of ${ffn}, and widths may be any multiple of ${multiple}`,
    `choose a --multiple of ${ffn}, or leave it out`,
  );
}

/** A GGUF file looks back without limit, so that on a longer text it is not the model that was pruned. */
export function requireNoSliding(
  settings: Settings,
  architecture: Architecture,
  window: number,
): void {
  const { slidingWindow } = architecture;
  if (settings.format !== 'gguf' || slidingWindow === 0 || window <= slidingWindow) return;
  throw new StruPruneError(
    'ERR_ARGUMENT',
    `a GGUF file cannot hold this model's sliding window of ${slidingWindow} tokens, and texts are cut by ${window}`,
    `choose --window ${slidingWindow} or less, or ${AS_FOLDER}`,
  );
}

/** Refuses calibration files that a run has no use for. */
function requireCalibrationUse(setup: Setup): void {
  const { saveCalibration, fromCalibration } = setup.settings;
  if (saveCalibration === undefined && fromCalibration === undefined) return;
  if (!surveys(setup)) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      'this run makes no survey: a uniform share on inputs of the model pruned so far needs none',
      'leave --save-calibration and --from-calibration out, or choose --allocation threshold',
    );
  }
  if (saveCalibration !== undefined && fromCalibration !== undefined) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      '--save-calibration and --from-calibration exclude each other',
      'leave one of them out',
    );
  }
}

/** Whether a run makes a dense survey: for its allocation, or since its method scores on dense statistics. */
export function surveys({ settings, method }: Setup): boolean {
  const scoresDense = method?.selection === 'scores' && method.inputs === 'dense';
  return settings.allocation !== 'uniform' || scoresDense;
}

/** What the plan of a run's memory is made from: the setup and what is known of its texts and threads. */
export function planInput(
  setup: Setup,
  sizes: Pick<PlanInput, 'threads' | 'tokens' | 'tuning' | 'evaluation' | 'gpu'>,
): PlanInput {
  const { architecture } = setup.source;
  const { removed: evenly } = uniformAllocation(setup);
  const factors = factorPlaces(planOutput(setup, new Int32Array(setup.layers.length)));
  return { ...setup, ...sizes, architecture, evenly, factors, surveys: surveys(setup) };
}

export function uniformAllocation(setup: Setup): JointAllocation {
  const { layers, settings } = setup;
  const none = layers.map(() => null);
  const weights = layers.map(() => 1);
  const placed = allocationLayers(layers, none, weights);
  return atOnce(allocate(placed, budgetOf(setup), { rule: 'uniform', apart: settings.apart }));
}

export function budgetOf(setup: Setup): Budget {
  const { settings, source } = setup;
  // A share needs to know nothing of the files.
  if (settings.sparsity !== undefined) {
    return budgetOfShare(settings.sparsity, linearParameters(source.architecture));
  }
  return budgetFor(settings, targetFacts(setup));
}

/** Parameters and bytes are those of the output if nothing were removed: biases that it adds are among them. */
export function targetFacts(setup: Setup): TargetFacts {
  const { source, dtype, layers, settings, tokenizerBytes } = setup;
  const { architecture } = source;
  const whole = planOutput(setup, new Int32Array(layers.length));
  return {
    total: linearParameters(architecture),
    parameters: totalParameters({ ...architecture, biases: whole.biases }),
    bytes: tokenizerBytes + weightFileBytes(whole, settings.maxShardBytes),
    dtype,
    mixed: mixedBytes(setup),
    fewerBits: settings.format === 'hf' && quantisedTypes(source).length > 0,
  };
}

/** The output for widths that are known, masks that are not. */
export function planOutput(
  { source, settings, method, dtype, takenOver, layers }: Setup,
  removed: Int32Array,
): ExportPlan {
  const { architecture } = source;
  const adds = method ? method.meanBias : settings.bias === 'add';
  const inScope = (site: 'ffn' | 'attention') =>
    settings.scope === 'all' || settings.scope === site;
  return planExport({
    architecture,
    pruned: plannedArchitecture(architecture, layers, removed),
    format: settings.format,
    dtype,
    takenOver,
    addedBias: {
      o: adds && inScope('attention') && !architecture.biases.o,
      down: adds && inScope('ffn') && !architecture.biases.down,
    },
    ...sourceFiles(source),
  });
}

/** What a Hugging Face source has of its own configuration, to be carried over. @throws StruPruneError ERR_CHECKPOINT */
export function sourceFiles(source: ModelSource) {
  if (source.format !== 'hf') return {};
  const generation = readJsonObject(join(source.path, 'generation_config.json'), {
    code: 'ERR_CHECKPOINT',
    mend: 'fetch it again, or remove it: a plain one is then written',
  });
  return { sourceConfig: source.config, sourceGeneration: generation ?? undefined };
}
