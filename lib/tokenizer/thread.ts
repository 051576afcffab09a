/** Jobs on a tokenizer in worker threads. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { type ErrorCode, StruPruneError } from '../errors';
import type { JobInput, JobName, Jobs } from './jobs';
import type { TokenizerSource } from './tokenizer';

export interface ThreadData {
  name: JobName;
  job: JobInput<JobName>;
}

/** `large`: the thread has memory that is to go back. */
export type ThreadReply = { large: boolean } & (
  | { result: Jobs[JobName]['out'] }
  | { error: { code: ErrorCode; message: string; mend: string } }
);

/** What a job may take, by what it reads: a stranger's tokenizer may ask for any time and any memory. */
interface Limits {
  seconds: number;
  mebibytes: number;
}
const LEAST: Limits = { seconds: 8, mebibytes: 256 };
/** Of a tokenizer's files, which become objects, and of a text, which may have to be cut in one piece. */
const PER_MEBIBYTE = {
  tokenizer: { seconds: 2, mebibytes: 8 },
  text: { seconds: 4, mebibytes: 64 },
};
/** No vocabulary is larger; the rest of a GGUF file is weights. */
const MOST_MEBIBYTES = 64;
const LOOK_MS = 500;
/** A thread without a job ends after so long. */
const REST_MS = 1000;

/**
 * Runs a job of jobs.ts. An abort ends the thread, and so does a job that takes too long for what it reads.
 * @throws StruPruneError ERR_ABORTED, ERR_TOKENIZER where it takes too long or too much memory, and whatever the job throws
 */
export async function inThread<Name extends JobName>(
  name: Name,
  job: JobInput<Name>,
  signal?: AbortSignal,
): Promise<Jobs[Name]['out']> {
  const aborted = () => new StruPruneError('ERR_ABORTED', 'tokenising was aborted');
  if (signal?.aborted) throw aborted();
  const { seconds, mebibytes: most } = limitsOf(job);
  const thread = TokenizerThread.take(most);
  let stop = () => {};
  const cutOff = new Promise<never>((_, reject) => {
    const stopWatch = watch(seconds, () => reject(excessive(`more than ${seconds} seconds`)));
    const onAbort = () => reject(aborted());
    signal?.addEventListener('abort', onAbort, { once: true });
    stop = () => {
      stopWatch();
      signal?.removeEventListener('abort', onAbort);
    };
  });
  let reply: ThreadReply;
  try {
    reply = await Promise.race([thread.run({ name, job }), cutOff]);
  } catch (error) {
    thread.end();
    throw error;
  } finally {
    stop();
  }
  if (reply.large) thread.end();
  else thread.rest();
  if ('result' in reply) return reply.result as Jobs[Name]['out'];
  throw new StruPruneError(reply.error.code, reply.error.message, reply.error.mend);
}

/** A worker that does one job at a time. To start one takes longer than most jobs, so it rests for a while behind a job. */
class TokenizerThread {
  /** The one that rests. */
  static #resting: TokenizerThread | undefined;
  readonly #mebibytes: number;
  readonly #worker: Worker;
  #timer: NodeJS.Timeout | undefined;

  /** One that may take so much memory, or up to twice as much. */
  static take(most: number): TokenizerThread {
    const rested = TokenizerThread.#resting;
    if (!rested) return new TokenizerThread(most);
    if (rested.#mebibytes < most || rested.#mebibytes > 2 * most) {
      rested.end();
      return new TokenizerThread(most);
    }
    rested.#wake();
    return rested;
  }

  private constructor(most: number) {
    this.#mebibytes = most;
    // From source this file is TypeScript, and the worker needs its loader too.
    const fromSource = __filename.endsWith('.ts');
    this.#worker = new Worker(join(__dirname, fromSource ? 'worker-entry.ts' : 'worker-entry.js'), {
      execArgv: fromSource ? ['-r', join(__dirname, '../../scripts/lib/ts-register.js')] : [],
      // A small nursery: the garbage of a chunk is soon gone, and pages once touched stay in the process.
      resourceLimits: { maxYoungGenerationSizeMb: 8, maxOldGenerationSizeMb: most },
    });
    this.#worker.on('exit', () => this.#wake());
    // Told to the job, where there is one.
    this.#worker.on('error', () => {});
  }

  run(data: ThreadData): Promise<ThreadReply> {
    const worker = this.#worker;
    worker.ref();
    return new Promise<ThreadReply>((resolve, reject) => {
      const onError = (error: NodeJS.ErrnoException) => {
        const full = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
        settle();
        reject(full ? excessive(`more than ${this.#mebibytes} MiB`) : error);
      };
      const onExit = (code: number) => {
        settle();
        reject(new StruPruneError('ERR_INTERNAL', `the tokenizer thread ended with code ${code}`));
      };
      const onMessage = (reply: ThreadReply) => {
        settle();
        resolve(reply);
      };
      const settle = () => {
        worker.off('error', onError).off('exit', onExit).off('message', onMessage);
      };
      worker.on('error', onError).on('exit', onExit).on('message', onMessage);
      worker.postMessage(data);
    });
  }

  /** Waits for the next job, and holds no process meanwhile. */
  rest(): void {
    TokenizerThread.#resting?.end();
    TokenizerThread.#resting = this;
    this.#worker.unref();
    this.#timer = setTimeout(() => this.end(), REST_MS).unref();
  }

  end(): void {
    this.#wake();
    void this.#worker.terminate();
  }

  #wake(): void {
    clearTimeout(this.#timer);
    if (TokenizerThread.#resting === this) TokenizerThread.#resting = undefined;
  }
}

function excessive(amount: string): StruPruneError {
  return new StruPruneError(
    'ERR_TOKENIZER',
    `the tokenizer takes ${amount} for a text or files of this size`,
    'use a model with another tokenizer',
  );
}

function limitsOf(job: JobInput<JobName>): Limits {
  const tokenizer = Math.min(MOST_MEBIBYTES, tokenizerMebibytes(job.source));
  const text = 'path' in job ? mebibytes(job.path) : 'text' in job ? textMebibytes(job.text) : 0;
  const of = (what: keyof Limits) =>
    Math.ceil(
      LEAST[what] + PER_MEBIBYTE.tokenizer[what] * tokenizer + PER_MEBIBYTE.text[what] * text,
    );
  return { seconds: of('seconds'), mebibytes: of('mebibytes') };
}

function tokenizerMebibytes(source: TokenizerSource): number {
  if (source.kind === 'files') return 0;
  if (source.kind === 'gguf') return mebibytes(source.file);
  const files = ['tokenizer.json', 'vocab.json', 'merges.txt'];
  return files.reduce((sum, name) => sum + mebibytes(join(source.folder, name)), 0);
}

function textMebibytes(text: string | string[]): number {
  if (typeof text === 'string') return mebibytes(text);
  return text.reduce((sum, one) => sum + Buffer.byteLength(one), 0) / 2 ** 20;
}

const mebibytes = (path: string) =>
  (statSync(path, { throwIfNoEntry: false })?.size ?? 0) / 2 ** 20;

/**
 * Calls `late` once when both the clock and the process's processor time have gone on that long: a thread that gets no processor is
 * not late. Returns how to stop.
 */
function watch(seconds: number, late: () => void): () => void {
  const started = performance.now();
  const before = process.cpuUsage();
  const timer = setInterval(() => {
    const { user, system } = process.cpuUsage(before);
    if (Math.min(performance.now() - started, (user + system) / 1000) < 1000 * seconds) return;
    clearInterval(timer);
    late();
  }, LOOK_MS);
  return () => clearInterval(timer);
}
