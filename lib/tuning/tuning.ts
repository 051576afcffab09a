/** What a pruned model is tuned by, and where that has come to: factors, and changes of low rank. */
import type { ExportPlan } from '../checkpoint/export';
import type { Block } from '../engine/block';
import { orDispose } from '../engine/owned';
import { addChanges, type ChangePlace, changePlaces } from './changes';
import { type FactorPlaces, factorPlaces, scaleBlock } from './factors';

/** Where its numbers lie. */
export interface TunedPlaces {
  factors: FactorPlaces;
  /** By block. */
  changes: readonly ChangePlace[][];
}

export interface Tuning extends TunedPlaces {
  /** Of the factors. */
  logs: Float64Array;
  /** Of a block's changes. */
  valuesOf: (block: number) => Promise<Float32Array>;
}

export function tunedPlaces(plan: Pick<ExportPlan, 'tensors'>, rank: number): TunedPlaces {
  return { factors: factorPlaces(plan), changes: changePlaces(plan, rank) };
}

/** A loaded block as it is tuned, rounded to what the output holds; it is disposed of where that fails. */
export async function tunedBlock(
  block: Block,
  index: number,
  { factors, logs, changes, valuesOf }: Tuning,
): Promise<Block> {
  return orDispose(block, async () => {
    const places = changes[index] ?? [];
    if (places.length > 0) await addChanges(block, { places, values: await valuesOf(index) });
    await scaleBlock(block, factors.blocks[index] ?? [], logs);
    return block;
  });
}
