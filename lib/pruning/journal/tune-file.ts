/** Where tuning has come to, in the journal. */
import { type ArrayPlan, ArraysFile, writeArrays } from '../../checkpoint/arrays-file';
import { exists } from '../../checkpoint/output-path';
import { asStruPruneError, StruPruneError } from '../../errors';
import type { TuneState } from '../../tuning/train';
import type { Journal } from './journal';

const KIND = 'struprune tuning';

export function writeTuneState(journal: Journal, state: TuneState): Promise<void> {
  const { logs, adam, heldOut, trained } = state;
  const array = (name: string, values: Float64Array): ArrayPlan => ({
    name,
    dtype: 'F64',
    shape: [values.length],
    pieces: () => [values],
  });
  const arrays = [array('logs', logs), array('mean', adam.mean), array('square', adam.square)];
  const metadata = { kind: KIND, divergences: JSON.stringify({ heldOut, trained }) };
  return writeArrays(journal.tunePath, arrays, metadata, { replace: true });
}

/**
 * null where there is none yet, or one that is damaged: its run, whose identity the journal has compared, makes it again.
 * @throws StruPruneError ERR_OUTPUT
 */
export async function readTuneState(
  journal: Journal,
  count: number,
  warn: (warning: string) => void,
): Promise<TuneState | null> {
  if (!(await exists(journal.tunePath))) return null;
  try {
    const file = await ArraysFile.open(journal.tunePath);
    if (file.metadata.kind !== KIND || file.shape('logs')[0] !== count) throw damaged(file.path);
    const { heldOut, trained } = JSON.parse(file.metadata.divergences!) as Pick<
      TuneState,
      'heldOut' | 'trained'
    >;
    const adam = {
      mean: await file.read('mean'),
      square: await file.read('square'),
      steps: trained.length,
    };
    return { logs: await file.read('logs'), adam, heldOut, trained };
  } catch (error) {
    if (asStruPruneError(error).code !== 'ERR_CHECKPOINT') throw error;
    warn('what the journal has of tuning is damaged: it begins anew');
    return null;
  }
}

function damaged(path: string): StruPruneError {
  return new StruPruneError('ERR_CHECKPOINT', `${path} is of another run`, 'make it again');
}
