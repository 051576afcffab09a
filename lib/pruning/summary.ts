/** What the result of a run says of it. */
import { statSync } from 'node:fs';
import type { Allocation, JointAllocation } from '../allocation';
import { fitsBlocks, isQuantised } from '../checkpoint/container';
import type { ExportPlan } from '../checkpoint/export';
import type { Architecture, ModelSource } from '../model/architecture';
import {
  type BlockKeep,
  linearParameters,
  prunedArchitecture,
  totalParameters,
} from '../model/groups';
import { Own } from '../own';
import type { AllocatedPart, LayerResult, PruneResult } from './result';
import type { Run } from './run';
import { settingsUsed } from './settings-used';
import { surveys, writtenAs } from './setup';
import { fingerprint, solvesSequentially } from './solve';
import type { Solved } from './solve-blocks';

export function summarise(
  run: Run,
  plan: ExportPlan,
  allocation: Allocation | JointAllocation,
  solved: Solved,
) {
  const { source, settings, dtype } = run;
  const { keeps, layerStats, resumedBlocks } = solved;
  const { architecture } = source;
  const pruned = prunedArchitecture(architecture, keeps);
  const parametersBefore = source.parameters;
  const parametersAfter = totalParameters({ ...pruned, biases: plan.biases });
  const total = linearParameters(architecture);
  return {
    settings: settingsUsed(run),
    method: settings.method,
    allocation: String(settings.allocation),
    scope: settings.scope,
    format: settings.format,
    dtype: dtype.toLowerCase(),
    output: settings.output,
    calibrationTokens: run.method?.statistics === 'none' ? 0 : run.ids.length,
    window: run.window,
    parametersBefore,
    parametersAfter,
    sparsity: (total - linearParameters(pruned)) / total,
    fileSparsity: (parametersBefore - parametersAfter) / parametersBefore,
    bytesBefore: bytesOf(source),
    kind: plan.kind,
    notes: [...plan.notes, ...ownNotes(run), ...growthNotes(run)],
    allocated: 'parts' in allocation ? allocation.parts.map(allocatedPart) : [],
    survey: surveyOf(run),
    solveInputs: solveInputsOf(run),
    resumedBlocks,
    layers: layerResults(architecture, pruned, keeps),
    layerStats,
  };
}

function allocatedPart({ scope, part }: JointAllocation['parts'][number]): AllocatedPart {
  const none = { scope, tau: null, form: null, temperature: null, mu: null };
  if (part.rule === 'threshold') {
    return { ...none, tau: Number.isFinite(part.tau) ? part.tau : null };
  }
  if (part.rule !== 'energy') return none;
  const { form, temperature, mu } = part;
  return { ...none, form, temperature, mu: Number.isFinite(mu) ? mu : null };
}

function layerResults(
  before: Architecture,
  after: Architecture,
  keeps: readonly BlockKeep[],
): LayerResult[] {
  const whole = (count: number) => Int32Array.from({ length: count }, (_, g) => g);
  return before.blocks.map((widths, index) => ({
    index,
    ffnBefore: widths.ffn,
    ffnAfter: after.blocks[index]!.ffn,
    kvHeadsBefore: widths.kvHeads,
    kvHeadsAfter: after.blocks[index]!.kvHeads,
    keptFfnSha256: fingerprint(keeps[index]!.ffn ?? whole(widths.ffn)),
    keptKvSha256: fingerprint(keeps[index]!.kv ?? whole(widths.kvHeads)),
  }));
}

/** A model card shows a command, which has no words for a function. */
function ownNotes({ settings }: Run): string[] {
  const { allocation, mask } = settings;
  return Object.entries({ allocation, mask }).flatMap(([key, rule]) =>
    rule instanceof Own ? [`the ${key} was ${rule}, a function: no command makes this again`] : [],
  );
}

/** A quantised source whose output is not, though it might be. */
function growthNotes({ source, dtype }: Run): string[] {
  const own = source.blocks[0]?.q?.dtype;
  if (own === undefined || !isQuantised(own) || isQuantised(dtype)) return [];
  const small = writtenAs(source) ?? 'Q4_1';
  if (!fitsBlocks(small, [source.architecture.hidden])) return [];
  const flags = `-o NAME.gguf --dtype ${small.toLowerCase()}`;
  return [
    `the source has ${own} weights, and ${dtype} has more bits: ${flags} writes a smaller file`,
  ];
}

function surveyOf(run: Run): PruneResult['survey'] {
  if (!surveys(run)) return 'none';
  return run.settings.fromCalibration === undefined ? 'made' : 'file';
}

function solveInputsOf({ settings, method }: Run): PruneResult['solveInputs'] {
  if (method && (method.statistics === 'none' || method.inputs === 'dense')) return 'none';
  return solvesSequentially({ settings, method }) ? 'sequential' : 'dense';
}

export function bytesOf(source: ModelSource): number {
  return source.files.reduce((sum, file) => sum + statSync(file).size, 0);
}
