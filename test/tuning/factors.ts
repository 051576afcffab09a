/** Every factor of a whole model, and names for them. */
import type { Architecture } from '../../lib/model/architecture';
import { blockRoles, blockShape, modelShapes } from '../../lib/model/axes';
import { type FactorPlaces, factorPlaces, type Place } from '../../lib/tuning/factors';

export function allPlaces(architecture: Architecture): FactorPlaces {
  const tensor = { name: '', dtype: 'F32', fill: 'source' } as const;
  const inside = architecture.blocks.flatMap((_, block) =>
    blockRoles(architecture).map((role) => ({
      ...tensor,
      role,
      block,
      shape: blockShape(architecture, block, role),
    })),
  );
  const { finalNorm } = modelShapes(architecture);
  const outside = finalNorm
    ? [{ ...tensor, role: 'finalNorm' as const, block: null, shape: finalNorm }]
    : [];
  return factorPlaces({ tensors: [...inside, ...outside] });
}

/** `block.role` and `finalNorm`, as the fixtures have them. */
export function namedPlaces({ blocks, finalNorm }: FactorPlaces): [string, Place<string>][] {
  const inside = blocks.flatMap((places, block) =>
    places.map((place): [string, Place<string>] => [`${block}.${place.role}`, place]),
  );
  return finalNorm ? [...inside, ['finalNorm', finalNorm]] : inside;
}
