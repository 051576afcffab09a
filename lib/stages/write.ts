/** The output, put together of finished blocks and the source's ends under a name that nobody sees yet. */
import { orAbort } from '../checkpoint/atomic';
import type { Session } from '../engine/session';
import { provenance } from '../models/decoders/model-card';
import { settingsUsed } from '../models/decoders/settings-used';
import type { TokenizerOutput } from '../models/decoders/tokenizer-output';
import { openSink, type Sink, writeTensors } from '../models/decoders/write';
import { runIdentity } from '../pruning/journal/identity';
import type { LoadBlock } from '../tuning/passes';
import type { Decision } from './allocate';
import type { Stage } from './stage';
import type { TunedModel } from './tune';

/** The sink is the receiver's to commit or to abort. */
export interface Written {
  sink: Sink;
  /** Where it can be opened. */
  path: string;
}

/** `tuned`: null where the model is as it was solved. */
export interface ToWrite extends Pick<Decision, 'plan'> {
  tuned: TunedModel | null;
  tokenizer: TokenizerOutput;
}

export const write: Stage<ToWrite, Written> = {
  name: 'write',
  identity: runIdentity,

  async run(work, { plan, tuned, tokenizer }) {
    const { session, journal, settings, source, hashes, onProgress } = work;
    const sink = await openSink(plan, settings.output, {
      replace: settings.force,
      work: journal.folder,
      maxShardBytes: settings.maxShardBytes,
      tokenizer,
      provenance: provenance(source, settingsUsed(work), hashes),
    });
    const put = (ends: Session, load?: LoadBlock) =>
      writeTensors(ends, plan, journal, sink, onProgress, load);
    const path = await orAbort(sink, () => (tuned ? tuned.lend(put) : put(session)));
    return { sink, path };
  },
};
