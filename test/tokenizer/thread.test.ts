/** Worker threads for jobs on tokenizers: one rests for the next job, and none keeps what it should not. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import workers from 'node:worker_threads';
import test from 'ava';
import { inThread } from '../../lib/tokenizer';
import { scratch, TINY } from '../cli/run';

const source = { kind: 'folder', folder: TINY } as const;
const job = (signal?: AbortSignal) => inThread('texts', { source, ids: [[1, 2]] }, signal);

const started: workers.Worker[] = [];
const { Worker } = workers;
test.before(() => {
  workers.Worker = class extends Worker {
    constructor(...args: ConstructorParameters<typeof Worker>) {
      super(...args);
      started.push(this);
    }
  };
});
test.after.always(() => {
  workers.Worker = Worker;
});

/** Threads that start meanwhile. */
async function startedBy(work: () => Promise<unknown>): Promise<workers.Worker[]> {
  const before = started.length;
  await work();
  return started.slice(before);
}

const ended = (worker: workers.Worker) => new Promise((resolve) => worker.once('exit', resolve));

test.serial(
  'jobs in turn have one thread, jobs at once one each, of which one rests',
  async (t) => {
    const [expected] = await job();
    t.is((await startedBy(async () => t.deepEqual(await job(), [expected]))).length, 0);
    const more = await startedBy(() => Promise.all([job(), job(), job()]));
    t.is(more.length, 2);
    t.is((await startedBy(job)).length, 0);
  },
);

test.serial('a job that fails leaves its thread, one that is aborted ends it', async (t) => {
  const nowhere = { kind: 'folder', folder: '/nowhere' } as const;
  const failing = () =>
    t.throwsAsync(inThread('texts', { source: nowhere, ids: [] }), { name: 'StruPruneError' });
  t.is((await startedBy(failing)).length, 0);
  const controller = new AbortController();
  const aborted = job(controller.signal);
  controller.abort();
  await t.throwsAsync(aborted, { code: 'ERR_ABORTED' });
  t.is((await startedBy(job)).length, 1);
});

test.serial('a thread that rests ends after a second', async (t) => {
  await job();
  // Which holds no process: a timer does.
  await Promise.race([ended(started.at(-1)!), sleep(10_000)]);
  t.is((await startedBy(job)).length, 1);
});

test.serial(
  'a job that may take far less memory does not get a thread that may take more',
  async (t) => {
    const text = join(await scratch(t), 'text.txt');
    writeFileSync(text, 'word '.repeat(2e6));
    const reading = () => inThread('ids', { source, text, maxTokens: 8, longest: 8 });
    t.is((await startedBy(reading)).length, 1);
    t.is((await startedBy(job)).length, 1);
  },
);
