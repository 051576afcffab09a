/** Factors of what the solve left, tuned on text of their own; the state after every step is in the journal. */
import type { ExportPlan } from '../../checkpoint/export';
import { AS_IS, Session } from '../../engine/session';
import { readTuneState, writeTuneState } from '../../pruning/journal/tune-file';
import { endsWith } from '../../tuning/ends';
import { factorPlaces, scaledBlock } from '../../tuning/factors';
import type { LoadBlock } from '../../tuning/passes';
import { trainFactors } from '../../tuning/train';
import type { Tuned } from '../front-end';
import { loadFinished } from './blocks';
import type { DecoderRun } from './run';

/** What tuning came to. */
export interface TunedModel extends Tuned {
  /** Lends the session of its ends and what loads its blocks; no such where they are as the journal has them. */
  lend<T>(use: (session: Session, load?: LoadBlock) => Promise<T>): Promise<T>;
}

/** Gives null where there is no text to tune on, or nothing to tune. */
export async function tuneFactors(run: DecoderRun, plan: ExportPlan): Promise<TunedModel | null> {
  const { engine, journal, source, settings, session, tuneText, window, ids, onProgress } = run;
  const places = factorPlaces(plan);
  if (tuneText === null || places.count === 0) return null;
  const start = performance.now();
  const solved: LoadBlock = async (index) =>
    loadFinished(journal, session, plan.tensors, index, await journal.block(index));
  const ends = (logs: Float64Array) =>
    endsWith(session, places.finalNorm, logs, journal.finalNormPath);
  const dense = new Session(engine, source, AS_IS, settings.scratch);
  try {
    const { logs, expected, ...tuned } = await trainFactors({
      dense,
      load: solved,
      ends,
      places,
      text: { ...tuneText, check: ids.subarray(ids.length - window), window },
      scratch: settings.scratch,
      onProgress,
      saved: await readTuneState(journal, places.count, run.warn),
      save: (state) => writeTuneState(journal, state),
    });
    if (logs === null) run.warn('tuning made nothing better: the output is as it was solved');
    const tokens = tuneText.train.length + tuneText.heldOut.length;
    const seconds = (performance.now() - start) / 1000;
    return {
      report: { tokens, ...tuned, seconds },
      expected,
      lend: async (use) => {
        if (logs === null) return use(session);
        const tuned = await ends(logs);
        try {
          return await use(tuned, async (index) =>
            scaledBlock(await solved(index), places.blocks[index], logs),
          );
        } finally {
          tuned.dispose();
        }
      },
    };
  } finally {
    dense.dispose();
  }
}
