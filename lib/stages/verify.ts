/** Opens what was written, still under its temporary name, and measures it. */
import { tokenizerOf } from '../calibration/text';
import { openGguf } from '../checkpoint/gguf-model';
import { openCheckpoint } from '../checkpoint/open';
import { AS_IS, Session } from '../engine/session';
import { StruPruneError } from '../errors';
import { evaluateIds } from '../measure/perplexity';
import { perplexityOf, sampleOf, samplePrompt } from '../models/decoders/measured';
import { runIdentity } from '../pruning/journal/identity';
import type { PruneResult } from '../pruning/result';
import { inThread } from '../tokenizer';
import type { Stage, Work } from './stage';
import { bytesOf } from './summary';

/** Largest difference of the last window's mean NLL between the run and the written file. */
const TOLERANCE = 1e-4;

export interface Verified
  extends Pick<PruneResult, 'verification' | 'perplexityAfter' | 'samples' | 'bytesAfter'> {}

/** `expected`: mean NLL that the run left. */
export interface ToVerify {
  path: string;
  expected: number;
  samplesBefore: number[] | null;
}

export const verify: Stage<ToVerify, Verified> = {
  name: 'verify',
  identity: runIdentity,

  async run(work, { path, expected, samplesBefore }) {
    const { engine, settings, ids, window, states: scratch } = work;
    const written = settings.format === 'gguf' ? await openGguf(path) : await openCheckpoint(path);
    const session = new Session(engine, written, AS_IS, settings.scratch);
    try {
      const last = ids.subarray(ids.length - window);
      const actual = (await evaluateIds(session, last, { window, scratch })).meanNll;
      if (!(Math.abs(actual - expected) <= TOLERANCE)) {
        throw new StruPruneError(
          'ERR_VERIFY',
          `the written checkpoint gives a mean NLL of ${actual} where the run had ${expected}`,
          'nothing was kept; please report this with the command',
        );
      }
      const perplexityAfter = await perplexityOf(work, session);
      const samples = samplesBefore && (await samplesOf(work, session, samplesBefore));
      return {
        verification: { expected, actual },
        perplexityAfter,
        samples,
        bytesAfter: bytesOf(written),
      };
    } finally {
      session.dispose();
    }
  },
};

async function samplesOf(work: Work, session: Session, before: number[]) {
  const ids = [samplePrompt(work), before, await sampleOf(work, session)];
  const texts = await inThread('texts', { source: tokenizerOf(work.source), ids }, work.signal);
  return { prompt: texts[0]!, before: texts[1]!, after: texts[2]! };
}
