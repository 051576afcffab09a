/** Jobs on a tokenizer in a worker thread, whose memory goes back when it ends. */
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { type ErrorCode, StruPruneError } from '../errors';
import type { JobInput, JobName, Jobs } from './jobs';

export interface ThreadData {
  name: JobName;
  job: JobInput<JobName>;
}

export type ThreadReply =
  | { result: Jobs[JobName]['out'] }
  | { error: { code: ErrorCode; message: string; mend: string } };

/**
 * Runs a job of jobs.ts. An abort ends the thread.
 * @throws StruPruneError ERR_ABORTED, and whatever the job throws
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
    const worker = startWorker({ name, job });
    const onAbort = () => {
      reject(aborted());
      void worker.terminate();
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    worker.on('message', (reply: ThreadReply) => {
      if ('result' in reply) resolve(reply.result as Jobs[Name]['out']);
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

function startWorker(data: ThreadData): Worker {
  // From source this file is TypeScript, and the worker needs its loader too.
  const fromSource = __filename.endsWith('.ts');
  return new Worker(join(__dirname, fromSource ? 'worker-entry.ts' : 'worker-entry.js'), {
    workerData: data,
    execArgv: fromSource ? ['-r', join(__dirname, '../../scripts/lib/ts-register.js')] : [],
    // A small nursery: the garbage of a chunk is soon gone, and pages once touched stay in the process.
    resourceLimits: { maxYoungGenerationSizeMb: 8 },
  });
}
