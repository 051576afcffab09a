/**
 * What tuning trains (docs/method.md, section 9): a factor a column of o and down, an entry of a norm, an entry of a bias
 * of o or down. Their logarithms lie in one array, so that none changes its sign.
 */
import { isQuantised } from '../checkpoint/container';
import type { ExportPlan } from '../checkpoint/export';
import type { Block } from '../engine/block';
import { native } from '../engine/native';
import type { Dtype } from '../model/architecture';
import type { BlockRole, Part, Site } from '../model/sublayers';

/** Parts of a sublayer with factors. */
const NORMS = [
  'norm',
  'streamNorm',
  'outNorm',
  'qNorm',
  'kNorm',
] as const satisfies readonly Part[];
const OUTPUTS = ['out', 'outBias'] as const satisfies readonly Part[];

export type TunedRole = `${Site}.${(typeof NORMS | typeof OUTPUTS)[number]}`;

/** Where the factors of one tensor lie among all. */
export interface Place<Role = TunedRole> {
  role: Role;
  at: number;
  count: number;
}

export interface FactorPlaces {
  /** By block. */
  blocks: Place[][];
  /** Of the norm after the last block; null without one. */
  finalNorm: Place<'finalNorm'> | null;
  count: number;
}

/** Parts of an output to come that the solve leaves, with where and as what they are written. */
export function writtenParts({ tensors }: Pick<ExportPlan, 'tensors'>) {
  return tensors
    .flatMap(({ parts, block, dtype }) => parts.map((part) => ({ ...part, block, dtype })))
    .filter(({ fill }) => fill !== 'zeros' && fill !== 'values');
}

/** Whether a tensor is one of these parts of a sublayer. */
export function isOneOf(role: string, parts: readonly Part[]): boolean {
  return parts.some((part) => role.endsWith(`.${part}`));
}

/** The factors of an output to come. Columns of a type of few steps have none: their codes would be others. */
export function factorPlaces(plan: Pick<ExportPlan, 'tensors'>): FactorPlaces {
  const places: FactorPlaces = { blocks: [], finalNorm: null, count: 0 };
  for (const { role, block, shape, dtype } of writtenParts(plan)) {
    const place = { at: places.count, count: shape.at(-1)! };
    if (block === null) {
      if (role !== 'finalNorm') continue;
      places.finalNorm = { ...place, role };
    } else {
      if (!isTuned(role, dtype)) continue;
      places.blocks[block] ??= [];
      places.blocks[block].push({ ...place, role });
    }
    places.count += place.count;
  }
  return places;
}

function isTuned(role: string, dtype: Dtype): role is TunedRole & BlockRole {
  const isFine = !isQuantised(dtype) || dtype === 'Q8_0';
  return isOneOf(role, NORMS) || (isOneOf(role, OUTPUTS) && isFine);
}

/** The factors of a place, out of the logarithms of all. */
export function factorsAt(logs: Float64Array, { at, count }: Place<string>): Float64Array {
  return native.exp(logs.subarray(at, at + count));
}

/** A block's tensors times their factors, rounded to what the output holds. */
export async function scaleBlock(
  block: Block,
  places: readonly Place[],
  logs: Float64Array,
): Promise<void> {
  for (const place of places) await block.scale(place.role, factorsAt(logs, place));
}
