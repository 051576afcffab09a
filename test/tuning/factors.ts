/** Every factor and change of a whole model, and names for the factors. */
import type { PlannedPart } from '../../lib/checkpoint/export';
import type { Architecture } from '../../lib/model/architecture';
import { blockTensors, modelShapes } from '../../lib/model/axes';
import { WHOLE } from '../../lib/model/file-tensors';
import type { FactorPlaces, Place } from '../../lib/tuning/factors';
import { type TunedPlaces, tunedPlaces } from '../../lib/tuning/tuning';

export function allPlaces(architecture: Architecture, rank: number): TunedPlaces {
  const planned = (role: PlannedPart['role'], block: number | null, shape: number[]) => ({
    ...{ ...WHOLE, name: '', dtype: 'F32' as const, block, shape },
    parts: [{ role, shape, fill: 'source' as const }],
  });
  const inside = architecture.blocks.flatMap((_, block) =>
    blockTensors(architecture, block).map(({ role, shape }) => planned(role, block, shape)),
  );
  const { finalNorm } = modelShapes(architecture);
  const outside = finalNorm ? [planned('finalNorm', null, finalNorm)] : [];
  return tunedPlaces({ tensors: [...inside, ...outside] }, rank);
}

/** What the fixtures call them; a norm is one thing there, wherever it stands. */
const NAMES: Record<string, string> = {
  'attention.norm': 'attnNorm',
  'attention.streamNorm': 'attnNorm',
  'attention.outNorm': 'attnOutNorm',
  'attention.qNorm': 'qNorm',
  'attention.kNorm': 'kNorm',
  'attention.out': 'o',
  'attention.outBias': 'oBias',
  'ffn.norm': 'ffnNorm',
  'ffn.streamNorm': 'ffnNorm',
  'ffn.outNorm': 'ffnOutNorm',
  'ffn.out': 'down',
  'ffn.outBias': 'downBias',
};

/** `block.tensor` and `finalNorm`, as the fixtures have them. */
export function namedPlaces({ blocks, finalNorm }: FactorPlaces): [string, Place<string>][] {
  const inside = blocks.flatMap((places, block) =>
    places.map((place): [string, Place<string>] => [`${block}.${NAMES[place.role]}`, place]),
  );
  return finalNorm ? [...inside, ['finalNorm', finalNorm]] : inside;
}
