/** Runs in a worker thread: tokenises one file, posts its ids (or the error) and ends. */
import { parentPort, workerData } from 'node:worker_threads';
import { StruPruneError } from '../errors';
import { type TokenizeJob, type TokenizeReply, tokenizeText } from './file';

function run(job: TokenizeJob): TokenizeReply {
  try {
    return { ids: tokenizeText(job) };
  } catch (error) {
    if (!(error instanceof StruPruneError)) throw error;
    const { code, mend } = error;
    const message = mend ? error.message.slice(0, -`; ${mend}`.length) : error.message;
    return { error: { code, message, mend } };
  }
}

const reply = run(workerData as TokenizeJob);
parentPort?.postMessage(reply, 'ids' in reply ? [reply.ids.buffer as ArrayBuffer] : []);
