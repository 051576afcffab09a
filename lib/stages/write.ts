/** The output, put together of finished blocks and the source's ends under a name that nobody sees yet. */
import { orAbort } from '../checkpoint/atomic';
import { runIdentity } from '../pruning/journal/identity';
import { provenance } from '../pruning/model-card';
import { settingsUsed } from '../pruning/settings-used';
import type { TokenizerOutput } from '../pruning/tokenizer-output';
import { openSink, type Sink, writeTensors } from '../pruning/write';
import type { Decision } from './allocate';
import type { Stage } from './stage';

/** The sink is the receiver's to commit or to abort. */
export interface Written {
  sink: Sink;
  /** Where it can be opened. */
  path: string;
}

export const write: Stage<Pick<Decision, 'plan'> & { tokenizer: TokenizerOutput }, Written> = {
  name: 'write',
  identity: runIdentity,

  async run(work, { plan, tokenizer }) {
    const { session, journal, settings, source, hashes, onProgress } = work;
    const sink = await openSink(plan, settings.output, {
      replace: settings.force,
      work: journal.folder,
      maxShardBytes: settings.maxShardBytes,
      tokenizer,
      provenance: provenance(source, settingsUsed(work), hashes),
    });
    const path = await orAbort(sink, () => writeTensors(session, plan, journal, sink, onProgress));
    return { sink, path };
  },
};
