/** Runs in a worker thread: does one job on a tokenizer, posts its result (or the error) and ends. */
import { parentPort, workerData } from 'node:worker_threads';
import { StruPruneError } from '../errors';
import { speakAsCommandLine } from '../wording';
import { type JobInput, type JobName, type Jobs, RUNNERS } from './jobs';
import type { ThreadData, ThreadReply } from './thread';

function run({ name, job }: ThreadData): ThreadReply {
  try {
    return { result: (RUNNERS[name] as (job: JobInput<JobName>) => Jobs[JobName]['out'])(job) };
  } catch (error) {
    if (!(error instanceof StruPruneError)) throw error;
    const { code, mend } = error;
    const message = mend ? error.message.slice(0, -`; ${mend}`.length) : error.message;
    return { error: { code, message, mend } };
  }
}

/** Buffers that go over instead of being copied. */
function buffersOf(value: unknown): ArrayBuffer[] {
  if (ArrayBuffer.isView(value)) return [value.buffer as ArrayBuffer];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(buffersOf) : [];
}

// The thread that started this one words the errors.
speakAsCommandLine();
const reply = run(workerData as ThreadData);
parentPort?.postMessage(reply, buffersOf(reply));
