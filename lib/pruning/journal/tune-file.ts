/** Where tuning has come to, in the journal. */
import { type ArrayPlan, ArraysFile, writeArrays } from '../../checkpoint/arrays-file';
import { exists } from '../../checkpoint/output-path';
import { asStruPruneError, StruPruneError } from '../../errors';
import type { Numbers } from '../../tuning/adam';
import { type ChangeStore, countOf } from '../../tuning/changes';
import type { TuneState } from '../../tuning/train';
import type { TunedPlaces } from '../../tuning/tuning';
import type { Journal } from './journal';

const KIND = 'struprune tuning';
/** Of a block's changes of low rank. */
const CHANGES = 'struprune tuning of a block';
/** Numbers on their way to a file at a time. */
const PIECE = 2 ** 17;

export function writeTuneState(journal: Journal, state: TuneState): Promise<void> {
  const { logs, adam, heldOut, trained } = state;
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
  { factors: { count }, changes }: TunedPlaces,
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
    for (const [block, places] of changes.entries()) {
      if (countOf(places) > 0) await openChanges(journal, block, trained.length, countOf(places));
    }
    const adam = {
      mean: await file.read('mean'),
      square: await file.read('square'),
      steps: trained.length,
    };
    return { logs: await file.read('logs'), adam, heldOut, trained };
  } catch (error) {
    const { code } = asStruPruneError(error);
    if (code !== 'ERR_CHECKPOINT' && code !== 'ERR_NOT_FOUND') throw error;
    warn('what the journal has of tuning is damaged: it begins anew');
    return null;
  }
}

/**
 * In two files a block, of which a step writes the one that the step before has not. What is read is of this process, or was
 * looked at as its run began.
 */
export function changeStore(journal: Journal): ChangeStore {
  return {
    async read(block, steps, into) {
      const file = ArraysFile.openKnown(journal.changesPath(block, steps));
      for (const [name, values] of Object.entries(into)) await file.readInto(name, values);
    },
    write(block, steps, state) {
      const arrays = Object.entries(state).map(([name, values]) => array(name, values));
      const metadata = { kind: CHANGES, steps: String(steps) };
      return writeArrays(journal.changesPath(block, steps), arrays, metadata, { replace: true });
    },
  };
}

async function openChanges(
  journal: Journal,
  block: number,
  steps: number,
  count?: number,
): Promise<ArraysFile> {
  const file = await ArraysFile.open(journal.changesPath(block, steps));
  const { kind, steps: found } = file.metadata;
  const fits = count === undefined || file.shape('values')[0] === count;
  if (kind !== CHANGES || found !== String(steps) || !fits) throw damaged(file.path);
  return file;
}

function array(name: string, values: Numbers): ArrayPlan {
  return {
    name,
    dtype: values instanceof Float32Array ? 'F32' : 'F64',
    shape: [values.length],
    *pieces() {
      for (let at = 0; at < values.length; at += PIECE) yield values.subarray(at, at + PIECE);
    },
  };
}

function damaged(path: string): StruPruneError {
  return new StruPruneError('ERR_CHECKPOINT', `${path} is of another run`, 'make it again');
}
