/** What the result of a run says of it. */
import { createHash } from 'node:crypto';
import type { Allocation, JointAllocation } from '../../allocation';
import { bytesEach } from '../../checkpoint/container';
import type { ExportPlan } from '../../checkpoint/export';
import { isEmbeddedMix } from '../../embedded';
import { StruPruneError } from '../../errors';
import type { Architecture, ModelSource } from '../../model/architecture';
import {
  type BlockKeep,
  linearParameters,
  prunedArchitecture,
  totalParameters,
} from '../../model/groups';
import { expertAt } from '../../model/sublayers';
import { weightsIn } from '../../model/wrapped';
import type { RunSettings, Settings } from '../../options';
import { Own } from '../../own';
import type { AllocatedPart, LayerResult, PruneResult } from '../../pruning/result';
import { resolve } from '../../spec';
import { dtypeFor, quantisedTypes } from '../../spec/dtypes';
import { requireNoSliding } from '../../spec/output';
import type { Solved } from '../../stages/solve';
import { bytesOf } from './measured';
import type { Run } from './run';
import { settingsUsed } from './settings-used';

/** Whoever brought no text to calibrate on is told what was taken, where one was read. */
function textNotes({ calibration, tuneTokens }: RunSettings, calibrates: boolean): string[] {
  if (!isEmbeddedMix(calibration) || !(calibrates || tuneTokens > 0)) return [];
  return [
    "calibrated on this package's mix of prose, code, dialogue and languages; a text like those that the model is for loses less on them",
  ];
}

/** `bytesAfter`: of the output's weight files. */
export function summarise(
  run: Run,
  plan: ExportPlan,
  allocation: Allocation | JointAllocation,
  solved: Solved,
  bytesAfter: number,
) {
  const { source, settings, gather, output } = run;
  const { keeps, layerStats, resumedBlocks } = solved;
  const { architecture } = source;
  const pruned = prunedArchitecture(architecture, keeps);
  // A GGUF file has the text model alone.
  const left = plan.format === 'gguf' ? (source.wrapped?.others ?? []) : [];
  const parametersBefore = source.parameters - weightsIn(left);
  const parametersAfter =
    totalParameters({ ...pruned, biases: plan.biases }) + weightsIn(plan.copied);
  const total = linearParameters(architecture);
  const bytesBefore = left.reduce((sum, { bytes }) => sum - bytes, bytesOf(source));
  const calibrates = gather.statistics !== 'none';
  const growth = bytesAfter > bytesBefore ? growthNotes(run) : [];
  return {
    settings: settingsUsed(run),
    method: settings.method,
    allocation: String(settings.allocation),
    scope: settings.scope,
    format: settings.format,
    dtype: output.dtype.toLowerCase(),
    output: settings.output,
    calibrationTokens: calibrates ? run.ids.length : 0,
    window: run.window,
    parametersBefore,
    parametersAfter,
    sparsity: (total - linearParameters(pruned)) / total,
    fileSparsity: (parametersBefore - parametersAfter) / parametersBefore,
    bytesBefore,
    kind: plan.kind,
    seeing: plan.format === 'hf' && source.wrapped !== undefined,
    notes: [
      ...plan.notes,
      ...goneNotes(architecture, pruned),
      ...output.notes,
      ...textNotes(settings, calibrates),
      ...speedNotes(run, allocation),
      ...ownNotes(run),
      ...growth,
    ],
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
    expertsBefore: widths.experts ?? 0,
    expertsAfter: after.blocks[index]!.experts ?? 0,
    keptFfnSha256: fingerprint(
      keeps[index]!.ffn ?? channelsOfExperts(keeps[index]!) ?? whole(widths.ffn),
    ),
    keptKvSha256: fingerprint(keeps[index]!.attention ?? whole(widths.kvHeads)),
    keptExperts: widths.experts ? [...(keeps[index]!.experts ?? whole(widths.experts))] : null,
  }));
}

/** Of each that had its turn; null: none had. */
function channelsOfExperts(keep: BlockKeep): Int32Array | null {
  const own = Object.entries(keep).filter(([site]) => expertAt(site) !== null);
  return own.length > 0 ? Int32Array.from(own.flatMap(([, kept]) => [...kept])) : null;
}

/** What the times of widths say of those that the result has. */
function speedNotes({ timing, layers }: Run, { removed }: Allocation | JointAllocation): string[] {
  if (!timing) return [];
  const spared = layers.reduce(
    (sum, { priced, allowed }, l) => sum + priced!.freed[allowed.indexOf(removed[l]!)]!,
    0,
  );
  const times = (timing.dense / (timing.dense - spared)).toFixed(2);
  const does = timing.of === 'prompt' ? 'reads a prompt' : 'writes tokens';
  return [
    `by the times of widths in ${timing.runtime} it ${does} ${times} times as fast as before; --speed measures it`,
  ];
}

/** Sublayers that went as wholes. */
function goneNotes(before: Architecture, after: Architecture): string[] {
  const lost = (of: 'heads' | 'ffn') =>
    [...after.blocks.keys()].filter((i) => after.blocks[i]![of] === 0 && before.blocks[i]![of] > 0);
  const [attentions, ffns] = [lost('heads'), lost('ffn')];
  const both = attentions.filter((index) => ffns.includes(index));
  const alone = (blocks: number[]) => blocks.filter((index) => !both.includes(index));
  const parts = Object.entries({
    '': both,
    'attention of ': alone(attentions),
    'FFN of ': alone(ffns),
  }).filter(([, blocks]) => blocks.length > 0);
  if (parts.length === 0) return [];
  const words = parts.map(
    ([what, blocks]) => `${what}block${blocks.length === 1 ? '' : 's'} ${blocks.join(', ')}`,
  );
  return [`gone as a whole: ${words.join('; ')}`];
}

function fingerprint(kept: Int32Array): string {
  return createHash('sha256')
    .update(new Uint8Array(kept.buffer, kept.byteOffset, kept.byteLength))
    .digest('hex');
}

/** A model card shows a command, which has no words for a function. */
function ownNotes({ settings }: Run): string[] {
  const { allocation, mask } = settings;
  return Object.entries({ allocation, mask }).flatMap(([key, rule]) =>
    rule instanceof Own ? [`the ${key} was ${rule}, a function: no command makes this again`] : [],
  );
}

/** Why the files of a quantised model have grown, and what would be smaller, where this run could have had it. */
function growthNotes(run: Run): string[] {
  const { source, output } = run;
  const { dtype, stored, takenOver } = output;
  const types = quantisedTypes(source);
  if (types.length === 0) return [];
  const has = `the source has ${types.join(' and ')} weights`;
  const least = Math.min(...types.map(bytesEach));
  if (takenOver && bytesEach(dtype) <= Math.max(...types.map(bytesEach))) return [];
  if (bytesEach(dtype) <= least) {
    const ends = stored.ends !== null && bytesEach(stored.ends) > least;
    return ends ? [`${has}, and embeddings and head are written in ${stored.ends}`] : [];
  }
  const way = smallerWay(run);
  const smaller = way === null ? '' : `: ${way} writes a smaller file`;
  return [`${has}, and ${dtype} has more bits${smaller}`];
}

/** Flags with which the run would have written a file of fewer bits; null where there are none. */
function smallerWay({ source, settings, output, evaluation }: Run): string | null {
  const { dtype, tokenizerBytes } = output;
  const { format, dtype: given, multiple } = settings;
  for (const kept of multiple === undefined ? [multiple] : [multiple, undefined]) {
    const asked = { ...settings, format: 'gguf', dtype: undefined, multiple: kept } as const;
    if (bytesEach(dtypeFor(source, asked)) >= bytesEach(dtype)) continue;
    if (!accepts(source, asked, tokenizerBytes, evaluation)) continue;
    const left = [given && '--dtype', multiple !== kept && `--multiple ${multiple}`];
    const without = left.filter(Boolean).join(' and ');
    const flags = [format !== 'gguf' && '-o NAME.gguf', without && `without ${without}`];
    return flags.filter(Boolean).join(' ');
  }
  return null;
}

function accepts(
  source: ModelSource,
  asked: Settings,
  tokenizerBytes: number,
  evaluation: Run['evaluation'],
): boolean {
  try {
    resolve(source, asked, tokenizerBytes);
    if (evaluation) requireNoSliding(asked, source.architecture, evaluation.window);
    return true;
  } catch (error) {
    if (error instanceof StruPruneError) return false;
    throw error;
  }
}

function surveyOf(run: Run): PruneResult['survey'] {
  if (!run.survey.needed) return 'none';
  return run.survey.from === undefined ? 'made' : 'file';
}

function solveInputsOf({ gather }: Run): PruneResult['solveInputs'] {
  return gather.inputs === 'survey' ? 'none' : gather.inputs;
}
