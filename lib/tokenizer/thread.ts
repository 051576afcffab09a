/** Jobs on a tokenizer in a worker thread, whose memory goes back when it ends. */
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

export type ThreadReply =
  | { result: Jobs[JobName]['out'] }
  | { error: { code: ErrorCode; message: string; mend: string } };

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

/**
 * Runs a job of jobs.ts. An abort ends the thread, and so does a job that takes too long for what it reads.
 * @throws StruPruneError ERR_ABORTED, ERR_TOKENIZER where it takes too long or too much memory, and whatever the job throws
 */
export function inThread<Name extends JobName>(
  name: Name,
  job: JobInput<Name>,
  signal?: AbortSignal,
): Promise<Jobs[Name]['out']> {
  return new Promise((resolve, reject) => {
    const aborted = () => new StruPruneError('ERR_ABORTED', 'tokenising was aborted');
    if (signal?.aborted) {
      reject(aborted());
      return;
    }
    const limits = limitsOf(job);
    const worker = startWorker({ name, job }, limits);
    const stopWatch = watch(limits.seconds, () => {
      reject(excessive(`more than ${limits.seconds} seconds`));
      void worker.terminate();
    });
    const onAbort = () => {
      reject(aborted());
      void worker.terminate();
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    worker.on('message', (reply: ThreadReply) => {
      if ('result' in reply) resolve(reply.result as Jobs[Name]['out']);
      else reject(new StruPruneError(reply.error.code, reply.error.message, reply.error.mend));
    });
    worker.on('error', (error: NodeJS.ErrnoException) => {
      const full = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
      reject(full ? excessive(`more than ${limits.mebibytes} MiB`) : error);
    });
    worker.on('exit', (code) => {
      stopWatch();
      signal?.removeEventListener('abort', onAbort);
      // Without effect when a reply came before.
      reject(new StruPruneError('ERR_INTERNAL', `the tokenizer thread ended with code ${code}`));
    });
  });
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

function startWorker(data: ThreadData, { mebibytes: most }: Limits): Worker {
  // From source this file is TypeScript, and the worker needs its loader too.
  const fromSource = __filename.endsWith('.ts');
  return new Worker(join(__dirname, fromSource ? 'worker-entry.ts' : 'worker-entry.js'), {
    workerData: data,
    execArgv: fromSource ? ['-r', join(__dirname, '../../scripts/lib/ts-register.js')] : [],
    // A small nursery: the garbage of a chunk is soon gone, and pages once touched stay in the process.
    resourceLimits: { maxYoungGenerationSizeMb: 8, maxOldGenerationSizeMb: most },
  });
}
