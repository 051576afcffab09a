/** Many runs on one output at once: one has its journal, the others are refused and harm nothing. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import test, { type ExecutionContext } from 'ava';
import { native } from '../../lib/engine/native';
import { Journal } from '../../lib/pruning/journal/journal';
import { Lock } from '../../lib/pruning/journal/lock';

const takeLock = (folder: string, force = false) => Lock.take(folder, { force });

const REFUSED = {
  code: 'ERR_OUTPUT',
  message: new RegExp(`process ${process.pid} on .* is writing this output`),
};

async function emptyFolder(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'struprune-lock-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Of twenty at once one goes on; what it came to. */
async function oneOf<T>(t: ExecutionContext, attempt: () => Promise<T>): Promise<T> {
  const all = await Promise.allSettled(Array.from({ length: 20 }, attempt));
  const done = all.filter((one) => one.status === 'fulfilled');
  for (const one of all) if (one.status === 'rejected') t.like(one.reason, { code: 'ERR_OUTPUT' });
  t.is(done.length, 1);
  return done[0]!.value;
}

for (const options of [
  { replace: false, resume: false },
  { replace: true, resume: false },
  { replace: false, resume: true },
]) {
  test(`twenty journals of one output: ${JSON.stringify(options)}`, async (t) => {
    const folder = await emptyFolder(t);
    const journal = await oneOf(t, () => Journal.open(join(folder, 'out'), 'folder', options));
    await journal.begin({});
    t.deepEqual(readdirSync(journal.folder).sort(), ['journal.json', 'lock.json']);
    await t.throwsAsync(Journal.open(join(folder, 'out'), 'folder', options), REFUSED);
    await journal.remove();
    t.deepEqual(readdirSync(folder), []);
  });
}

const GONE = JSON.stringify({ pid: 2 ** 22 + 1, host: hostname(), boot: null });
const AWAY = JSON.stringify({ pid: 7, host: 'elsewhere', boot: 'another' });
for (const [what, left] of [
  ['whose process is gone', GONE],
  ['that was never written to its end', '{"pid":'],
]) {
  test(`twenty find a lock ${what}: one takes it over`, async (t) => {
    const journal = join(await emptyFolder(t), 'journal');
    for (let round = 0; round < 5; round++) {
      mkdirSync(journal);
      writeFileSync(join(journal, 'lock.json'), left!);
      const lock = await oneOf(t, () => takeLock(journal));
      await t.throwsAsync(takeLock(journal), REFUSED);
      t.deepEqual(readdirSync(journal), ['lock.json']);
      await lock.release();
    }
  });
}

test("a holder's name that is being written is waited for", async (t) => {
  const journal = join(await emptyFolder(t), 'journal');
  mkdirSync(journal);
  const held = await open(join(journal, 'lock.json'), 'wx+');
  t.teardown(() => held.close());
  t.is(native.lockFile(held.fd), 'taken');
  const attempt = takeLock(journal);
  setTimeout(() => held.write(AWAY), 300);
  await t.throwsAsync(attempt, {
    code: 'ERR_OUTPUT',
    message: /process 7 on elsewhere is writing/,
  });
  // Nobody takes what another run has, however it asks.
  await t.throwsAsync(takeLock(journal, true), { message: /is writing .*; wait for it/ });
});

test('what a run on another machine has left is taken by force alone', async (t) => {
  const journal = join(await emptyFolder(t), 'journal');
  mkdirSync(journal);
  writeFileSync(join(journal, 'lock.json'), AWAY);
  const message =
    /process 7 on elsewhere is .*; if that run is over, give force: true \(with resume: true/;
  await t.throwsAsync(takeLock(journal), { code: 'ERR_OUTPUT', message });
  t.is(readFileSync(join(journal, 'lock.json'), 'utf8'), AWAY);
  const lock = await takeLock(journal, true);
  await t.throwsAsync(takeLock(journal), REFUSED);
  await lock.release();
});

test("a worker thread's lock ends with it", async (t) => {
  const journal = join(await emptyFolder(t), 'journal');
  const root = join(__dirname, '../..');
  const code = `
    const { Lock } = require(${JSON.stringify(join(root, 'lib/pruning/journal/lock'))});
    Lock.take(${JSON.stringify(journal)}, { force: false }).then((lock) => {
      require('node:worker_threads').parentPort.postMessage('taken');
      setInterval(() => lock, 1000);
    });`;
  const execArgv = ['-r', join(root, 'scripts/lib/ts-register.js')];
  const worker = new Worker(code, { eval: true, execArgv });
  t.deepEqual(await once(worker, 'message'), ['taken']);
  await t.throwsAsync(takeLock(journal), REFUSED);
  await worker.terminate();
  const lock = await takeLock(journal);
  await lock.release();
});

test('a run that ends makes room for one that begins at that moment', async (t) => {
  const folder = await emptyFolder(t);
  const journal = join(folder, 'journal');
  let held = 0;
  const worker = async () => {
    for (let turns = 0; turns < 20; ) {
      const lock = await takeLock(journal).catch((error: unknown) => {
        t.like(error, { code: 'ERR_OUTPUT' });
      });
      if (lock) {
        t.is(++held, 1, 'one at a time');
        await new Promise(setImmediate);
        held -= 1;
        await lock.release();
        turns += 1;
      }
    }
  };
  await Promise.all([worker(), worker(), worker()]);
  t.deepEqual(readdirSync(folder), [], `${basename(journal)} goes with the last`);
});

const onLinux = process.platform === 'linux' ? test : test.skip;
onLinux('a lock ends with its process, however that ends', async (t) => {
  const journal = join(await emptyFolder(t), 'journal');
  mkdirSync(journal);
  const path = join(journal, 'lock.json');
  writeFileSync(path, GONE);
  const held = ['-o', path, 'sh', '-c', 'echo held; exec sleep 60'];
  const holder = spawn('flock', held, { detached: true });
  // With what sleeps, which holds the pipe.
  t.teardown(() => process.kill(-holder.pid!));
  await once(holder.stdout, 'data');
  const message = new RegExp(`process ${2 ** 22 + 1} on .* is writing`);
  await t.throwsAsync(takeLock(journal), { code: 'ERR_OUTPUT', message });
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  const lock = await takeLock(journal);
  await lock.release();
});

onLinux('containers of one machine are no other machines, whatever they are called', async (t) => {
  const journal = join(await emptyFolder(t), 'journal');
  mkdirSync(journal);
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  writeFileSync(join(journal, 'lock.json'), JSON.stringify({ pid: 7, host: 'c0ffee', boot }));
  const lock = await takeLock(journal);
  await t.throwsAsync(takeLock(journal), REFUSED);
  await lock.release();
});
