/** What the solve left, tuned on text of its own; the state after every step is in the journal. */
import type { ExportPlan } from '../../checkpoint/export';
import { AS_IS, Session } from '../../engine/session';
import { changeStore, readTuneState, writeTuneState } from '../../pruning/journal/tune-file';
import { endsWith } from '../../tuning/ends';
import type { LoadBlock } from '../../tuning/passes';
import { trainModel } from '../../tuning/train';
import { tunedBlock, tunedPlaces } from '../../tuning/tuning';
import type { Tuned } from '../front-end';
import { loadFinished } from './blocks';
import type { DecoderRun } from './run';

/** What tuning came to. */
export interface TunedModel extends Tuned {
  /** Lends the session of its ends and what loads its blocks; no such where they are as the journal has them. */
  lend<T>(use: (session: Session, load?: LoadBlock) => Promise<T>): Promise<T>;
}

/** Gives null where there is no text to tune on, or nothing to tune. */
export async function tuneModel(run: DecoderRun, plan: ExportPlan): Promise<TunedModel | null> {
  const { engine, journal, source, settings, session, tuneText, mixTokens, window, ids } = run;
  const places = tunedPlaces(plan, settings.tuneRank);
  const { count, finalNorm } = places.factors;
  if (tuneText === null || count === 0) return null;
  const start = performance.now();
  const solved: LoadBlock = async (index) =>
    loadFinished(journal, session, plan.tensors, index, await journal.block(index));
  const ends = (logs: Float64Array) => endsWith(session, finalNorm, logs, journal.finalNormPath);
  const dense = new Session(engine, source, AS_IS, settings.scratch);
  try {
    const { tuning, expected, ...tuned } = await trainModel({
      dense,
      load: solved,
      ends,
      places,
      store: changeStore(journal),
      text: { ...tuneText, check: ids.subarray(ids.length - window), window },
      scratch: settings.scratch,
      onProgress: run.onProgress,
      saved: await readTuneState(journal, places, run.warn),
      save: (state) => writeTuneState(journal, state),
    });
    if (tuning === null) run.warn('tuning made nothing better: the output is as it was solved');
    const tokens = tuneText.train.length + tuneText.heldOut.length;
    const seconds = (performance.now() - start) / 1000;
    return {
      report: { tokens, mixTokens, ...tuned, seconds },
      expected,
      lend: async (use) => {
        if (tuning === null) return use(session);
        const tuned = await ends(tuning.logs);
        try {
          return await use(tuned, async (index) => tunedBlock(await solved(index), index, tuning));
        } finally {
          tuned.dispose();
        }
      },
    };
  } finally {
    dense.dispose();
  }
}
