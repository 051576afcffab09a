/** What is known of a run's output before any work: its size with nothing removed, and its tensors for given widths. */
import type { Budget, JointAllocation } from '../allocation';
import {
  type ExportPlan,
  type ExportRequest,
  holderFor,
  planExport,
  weightFileBytes,
} from '../checkpoint/export';
import { readFolderJson } from '../checkpoint/folder-file';
import type { Architecture, ModelSource } from '../model/architecture';
import { linearParameters, multiplyAdds, totalParameters } from '../model/groups';
import { expertAt } from '../model/sublayers';
import { weightsIn } from '../model/wrapped';
import { mixedBytes, quantisedTypes } from './dtypes';
import type { Timing } from './latency';
import type { RunSpec } from './types';
import {
  budgetFor,
  budgetOfShare,
  type Layer,
  plannedArchitecture,
  type TargetFacts,
  uniformly,
  withinWidths,
} from './widths';

type Sized = Pick<RunSpec, 'source' | 'layers' | 'output'>;
type Aimed = Sized & Pick<RunSpec, 'target' | 'timing' | 'allocation' | 'depth'>;

export function uniformAllocation(spec: Aimed): JointAllocation {
  const { layers, allocation, depth } = spec;
  const budget = budgetOf(spec);
  return uniformly(layers, depth ? withinWidths(layers, budget) : budget, allocation);
}

export function budgetOf(spec: Aimed): Budget {
  const { target, source, timing } = spec;
  // A share needs to know nothing of the files.
  if (target.sparsity !== undefined) {
    return budgetOfShare(target.sparsity, linearParameters(source.architecture));
  }
  if (timing)
    return budgetOfSpeed(target.targetSpeed!, timing, linearParameters(source.architecture));
  return budgetFor(target, targetFacts(spec));
}

/** Of time, in nanoseconds a token. */
function budgetOfSpeed(speed: number, { dense: now }: Timing, total: number): Budget {
  const keep = now / speed;
  return { remove: now - keep, total, counted: { unit: 'nanoseconds', now, each: 1, keep } };
}

/** Parameters and bytes are those of the output if nothing were removed: biases that it adds are among them. */
export function targetFacts(spec: Sized): TargetFacts {
  const { source, layers, output } = spec;
  const { architecture } = source;
  const { stored, format, tokenizerBytes, maxShardBytes } = output;
  const { matrices: dtype } = stored;
  const whole = planOutput(spec, new Int32Array(layers.length));
  return {
    total: linearParameters(architecture),
    parameters:
      totalParameters({ ...architecture, biases: whole.biases }) + weightsIn(whole.copied),
    multiplyAdds: multiplyAdds(architecture),
    multiplied: multiplied(architecture, layers),
    bytes: tokenizerBytes + weightFileBytes(whole, maxShardBytes),
    dtype,
    mixed: mixedBytes({ source, dtype, stored, layers }),
    fewerBits: format === 'hf' && quantisedTypes(source).length > 0,
  };
}

/** How often a token is multiplied with a weight that may go, on average. */
function multiplied({ routing, blocks }: Architecture, layers: readonly Layer[]): number {
  const inside = layers.find(({ site }) => expertAt(site) !== null);
  return inside ? routing!.topK / blocks[inside.block]!.experts! : 1;
}

/** The output for widths that are known, masks that are not. */
export function planOutput(spec: Sized, removed: Int32Array): ExportPlan {
  return planExport({ ...requestFor(spec, removed), ...sourceFiles(spec.source) });
}

/** Whether the output can hold the model without those layers. */
export function holdsOutput(spec: Sized, gone: readonly number[]): boolean {
  const removed = Int32Array.from(spec.layers, ({ groups }, at) =>
    gone.includes(at) ? groups : 0,
  );
  return holderFor(requestFor(spec, removed)).kind !== null;
}

function requestFor({ source, layers, output }: Sized, removed: Int32Array): ExportRequest {
  const { architecture } = source;
  const { format, dtype, takenOver, adds } = output;
  return {
    architecture,
    pruned: plannedArchitecture(architecture, layers, removed),
    format,
    dtype,
    takenOver,
    wrapped: source.wrapped,
    addedBias: {
      o: adds.attention && !architecture.biases.o,
      down: adds.ffn && !architecture.biases.down,
    },
  };
}

/** What a Hugging Face source has of its own configuration, to be carried over. @throws StruPruneError ERR_CHECKPOINT */
export function sourceFiles(source: ModelSource) {
  if (source.format !== 'hf') return {};
  const generation = readFolderJson(source.path, 'generation_config.json', {
    code: 'ERR_CHECKPOINT',
    mend: 'fetch it again, or remove it: a plain one is then written',
  });
  return {
    sourceConfig: source.config,
    sourceFloats: source.floats,
    sourceGeneration: generation ?? undefined,
  };
}
