/** What we write, in other programs: the class or architecture that loads it, and the logits that we have. */
import type { ExecutionContext } from 'ava';
import type { PruneResult } from '../../lib/pruning/result';
import {
  distance,
  llamaLogits,
  ourLogits,
  relativeDifference,
  type TransformersResult,
  transformersLogitsOf,
} from './prune-oracles';

type Written = Pick<PruneResult, 'kind' | 'output' | 'parametersAfter'>;

/** Of every folder, by one process. */
export function loadedByTransformers(
  folders: readonly Written[],
  ids: readonly number[],
): TransformersResult[] {
  return transformersLogitsOf(
    folders.map(({ kind, output }) => ({
      how: kind === 'stock' ? 'stock' : 'own',
      model: output,
      ids: [...ids],
    })),
  );
}

export async function asInTransformers(
  t: ExecutionContext,
  { kind, output, parametersAfter }: Written,
  { logits, answer }: TransformersResult,
  loadedAs: string,
  ids: readonly number[],
): Promise<void> {
  t.is(answer.class, loadedAs);
  t.is(answer.module.startsWith('transformers.models.'), kind === 'stock');
  t.deepEqual(answer.loose, []);
  t.is(answer.parameters, parametersAfter);
  const difference = relativeDifference(await ourLogits(output, ids), logits);
  t.true(difference <= 1e-4, String(difference));
}

/** Returns the architecture that it is loaded as. */
export async function asInLlamaCpp(
  t: ExecutionContext,
  { output }: Written,
  ids: readonly number[],
): Promise<string> {
  const { logits, architecture } = llamaLogits(output, ids);
  const { largest, changed } = distance(await ourLogits(output, ids), logits, ids);
  t.true(largest <= 0.02, String(largest));
  t.true(changed <= 0.02 * ids.length, String(changed));
  return architecture;
}
