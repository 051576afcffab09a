/** Tokenising a whole text file, off the main thread. */
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { type ErrorCode, StruPruneError } from '../errors';
import { readText } from './text';
import { loadTokenizer, type TokenizerSource } from './tokenizer';

export interface TokenizeJob {
  source: TokenizerSource;
  path: string;
  maxTokens?: number;
}

export type TokenizeReply =
  | { ids: Int32Array }
  | { error: { code: ErrorCode; message: string; mend: string } };

export interface TokenizeFileOptions {
  /** Only the first ids are wanted; no more of the file is read than they need. */
  maxTokens?: number;
  signal?: AbortSignal;
}

/**
 * Ids of a text file, tokenised whole and without BOS: the first `maxTokens` ids are those of the whole text.
 * Runs in a worker thread, whose memory goes back when it ends.
 * @throws StruPruneError ERR_NOT_FOUND, ERR_TEXT (empty, or not UTF-8: with the byte offset), ERR_ABORTED, and
 *   whatever loading the tokenizer may throw.
 */
export function tokenizeFile(
  source: TokenizerSource,
  path: string,
  { maxTokens, signal }: TokenizeFileOptions = {},
): Promise<Int32Array> {
  const job: TokenizeJob = { source, path, maxTokens };
  return new Promise((resolve, reject) => {
    const aborted = () => new StruPruneError('ERR_ABORTED', 'tokenising was aborted');
    if (signal?.aborted) {
      reject(aborted());
      return;
    }
    const worker = startWorker(job);
    const onAbort = () => {
      reject(aborted());
      void worker.terminate();
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    worker.on('message', (reply: TokenizeReply) => {
      if ('ids' in reply) resolve(reply.ids);
      else reject(new StruPruneError(reply.error.code, reply.error.message, reply.error.mend));
    });
    worker.on('error', reject);
    worker.on('exit', (code) => {
      signal?.removeEventListener('abort', onAbort);
      // Without effect when a reply came before.
      reject(new StruPruneError('ERR_INTERNAL', `the tokenizer thread ended with code ${code}`));
    });
  });
}

/** What the worker does; in this file so that both sides share one definition. */
export function tokenizeText({ source, path, maxTokens }: TokenizeJob): Int32Array {
  const text = readText(path);
  try {
    const first = text.next();
    if (first.done) {
      throw new StruPruneError('ERR_TEXT', `${path} is empty`, 'give a file with text');
    }
    return loadTokenizer(source).encodeParts(prepend(first.value, text), maxTokens);
  } finally {
    text.return();
  }
}

function* prepend(first: string, rest: Iterable<string>): Generator<string, void> {
  yield first;
  yield* rest;
}

function startWorker(job: TokenizeJob): Worker {
  // Under ts-node this file is TypeScript, and the worker needs its loader too.
  const fromSource = __filename.endsWith('.ts');
  return new Worker(join(__dirname, fromSource ? 'worker-entry.ts' : 'worker-entry.js'), {
    workerData: job,
    execArgv: fromSource ? ['-r', require.resolve('ts-node/register/transpile-only')] : [],
    // A small nursery: the garbage of a chunk is soon gone, and pages once touched stay in the process.
    resourceLimits: { maxYoungGenerationSizeMb: 8 },
  });
}
