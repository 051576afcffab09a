/** Runs in a worker thread: does jobs on tokenizers one after the other, and posts the result (or the error) of each. */
import { getHeapStatistics } from 'node:v8';
import { parentPort } from 'node:worker_threads';
import { StruPruneError } from '../errors';
import { speakAsCommandLine } from '../wording';
import { type JobInput, type JobName, type Jobs, RUNNERS } from './jobs';
import type { ThreadData, ThreadReply } from './thread';

/** Of its heap; what a small tokenizer's job leaves is below it, a large one's memory has to go back before the run goes on. */
const LARGE = 24 * 2 ** 20;

function run({ name, job }: ThreadData) {
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
parentPort!.on('message', (data: ThreadData) => {
  const done = run(data);
  const large = getHeapStatistics().total_physical_size > LARGE;
  parentPort!.postMessage({ ...done, large } satisfies ThreadReply, buffersOf(done));
});
