/** Many runs on one output at once: one has its journal, the others are refused and harm nothing. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Journal } from '../../lib/pruning/journal/journal';
import { releaseLock, takeLock } from '../../lib/pruning/journal/lock';

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

const GONE = JSON.stringify({ pid: 2 ** 22 + 1, start: '1', host: hostname() });
for (const [what, left] of [
  ['whose process is gone', GONE],
  ['that was never written to its end', '{"pid":'],
]) {
  test(`twenty find a lock ${what}: one takes it over`, async (t) => {
    const journal = join(await emptyFolder(t), 'journal');
    for (let round = 0; round < 5; round++) {
      mkdirSync(journal);
      writeFileSync(join(journal, 'lock.json'), left!);
      await oneOf(t, () => takeLock(journal));
      await t.throwsAsync(takeLock(journal), REFUSED);
      t.deepEqual(readdirSync(journal), ['lock.json']);
      await releaseLock(journal);
    }
  });
}

test('a lock that is being written is waited for', async (t) => {
  const journal = join(await emptyFolder(t), 'journal');
  mkdirSync(journal);
  const lock = join(journal, 'lock.json');
  writeFileSync(lock, '');
  const attempt = takeLock(journal);
  setTimeout(() => writeFileSync(lock, GONE.replace(hostname(), 'elsewhere')), 300);
  await t.throwsAsync(attempt, { code: 'ERR_OUTPUT', message: /on elsewhere is writing/ });
});

test('a run that ends makes room for one that begins at that moment', async (t) => {
  const folder = await emptyFolder(t);
  const journal = join(folder, 'journal');
  let held = 0;
  const worker = async () => {
    for (let turns = 0; turns < 20; ) {
      const refused = await takeLock(journal).then(
        () => null,
        (error) => error,
      );
      if (refused) t.like(refused, { code: 'ERR_OUTPUT' });
      else {
        t.is(++held, 1, 'one at a time');
        await new Promise(setImmediate);
        held -= 1;
        await releaseLock(journal);
        turns += 1;
      }
    }
  };
  await Promise.all([worker(), worker(), worker()]);
  t.deepEqual(readdirSync(folder), [], `${basename(journal)} goes with the last`);
});

// As in a container without an init, where nobody asks how a killed run has ended.
const onLinux = process.platform === 'linux' ? test : test.skip;
onLinux('a lock whose process has ended and was not waited for is taken over', async (t) => {
  // The child ends when its parent is a program that does not ask.
  const shell = spawn('sh', ['-c', 'sleep 1 & echo $!; exec sleep 60']);
  t.teardown(() => shell.kill());
  const [text] = await once(shell.stdout, 'data');
  const pid = Number(text);
  const fields = () => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  const start = fields()[19];
  while (fields()[0] !== 'Z') await new Promise((wait) => setTimeout(wait, 10));
  const journal = join(await emptyFolder(t), 'journal');
  mkdirSync(journal);
  writeFileSync(join(journal, 'lock.json'), JSON.stringify({ pid, start, host: hostname() }));
  await t.notThrowsAsync(takeLock(journal));
  await releaseLock(journal);
});
