/**
 * Runs that ranks share, under every MPI of this machine: one set of bytes, one end. STRUPRUNE_LONG=1: every row under each, of
 * the embedded model.
 */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { Engine } from '../../lib/engine/engine';
import { addonFile } from '../../lib/engine/native-files';
import { evaluate } from '../../lib/evaluate';
import { plan } from '../../lib/plan';
import { prune as doPrune } from '../../lib/prune';
import type { PruneResult } from '../../lib/pruning/result';
import { CALIBRATION, EVALUATION, quickPrune, run, scratch, TINY } from '../cli/run';
import { hashesOf } from '../e2e/files';
import { workspace } from '../e2e/models';
import { isLong, long } from '../long';
import { deepModel } from './deep-model';
import { MPIS, onRanks } from './mpi';

const JOURNAL = 'small.struprune-journal';
const MACHINE = ['--threads', '1', '--json'];
/** Prices by trial, of FFNs and heads. */
const TRIALS = ['--scope', 'all', '--survey-tokens', '128', ...MACHINE];
/** No survey. */
const SOLVE = ['--scope', 'all', '--allocation', 'uniform', ...MACHINE];
const QUICK = [...TRIALS, '--ffn-solver', 'output'];

const prune = (model: string, output: string, ...more: string[]) =>
  quickPrune(output, ...more).map((word) => (word === TINY ? model : word));

/** The same on `ranks` ranks. */
const alike = (ranks: number, args: readonly string[]) =>
  Array.from({ length: ranks }, () => [...args, '--ranks', `${ranks}`]);

/** Pages of the solve's tokens: each of three ranks has one, and of two the second keeps two sums. */
const PAGES = ['--calibration-tokens', `${3 * 4096}`];
/** With two for each of three. */
const MORE_PAGES = ['--calibration-tokens', `${6 * 4096}`];
const FEEDBACK = ['--alpha', '0.5', '--beta', '0.5'];
const EXPERTS = join(TINY, '..', 'tiny-moe');

/** `deep`: with three batches of trials, so that three ranks have some. */
type Row = [name: string, model: 'tiny' | 'deep' | 'experts', ranks: number[], more: string[]];
const ROWS: Row[] = [
  ['small', 'deep', [1, 2, 3], [...QUICK, '--alpha', '0.5']],
  ['small', 'tiny', [3], [...SOLVE, ...PAGES, ...FEEDBACK, '--ffn-tokens', '4096']],
  ['small.gguf', 'tiny', [2], [...QUICK, '--depth', '--max-layer-sparsity', '0.3']],
  ...long<Row>([
    ['small', 'tiny', [1, 2, 3, 4], [...TRIALS, ...MORE_PAGES]],
    ['small', 'tiny', [2, 3], [...SOLVE, ...MORE_PAGES, '--no-sequential']],
    ['small', 'tiny', [2, 3], [...SOLVE, ...PAGES, '--ffn-solver', 'auxiliary']],
    ['small', 'tiny', [2], [...SOLVE, ...PAGES, '--memory', '64MiB']],
    ['small', 'tiny', [2], [...MACHINE, ...PAGES, '--method', 'flap']],
    ['small', 'tiny', [2], [...QUICK, ...PAGES, '--selection', 'fisher']],
    ['small', 'experts', [2, 3], [...TRIALS, ...MORE_PAGES, '--scope', 'moe']],
  ]),
];
const work = workspace();
test.after.always(() => work.remove());
/** Ranks that wait keep their cores busy: of a smaller model they wait less. */
const SMALL = isLong ? TINY : work.model('llama2');

const onMpi = MPIS.length > 0 ? test.serial : test.skip;
if (MPIS.length === 0)
  console.log('no ranks: neither mpirun.openmpi nor mpirun.mpich is installed');
for (const [at, [name, kind, counts, more]] of ROWS.entries()) {
  onMpi(`the same bytes on any number of ranks: ${[name, kind, ...more].join(' ')}`, async (t) => {
    t.timeout(600_000);
    const folder = await scratch(t);
    const models = {
      tiny: () => SMALL,
      deep: () => deepModel(join(folder, 'deep'), isLong ? 2 : 4, SMALL),
      experts: () => EXPERTS,
    };
    const model = models[kind]();
    const alone = await run(prune(model, join(folder, name), ...more));
    t.is(alone.code, 0, alone.stderr);
    const expected = hashesOf(join(folder, name));
    for (const [place, mpi] of MPIS.entries()) {
      // The MPIs take turns.
      const its = counts.filter((_, i) => isLong || (at + i) % MPIS.length === place);
      for (const ranks of its) {
        const output = join(await scratch(t), name);
        const shared = await onRanks(mpi, alike(ranks, prune(model, output, ...more)));
        const about = `${mpi.name}, ${ranks} ranks: ${shared.stderr}`;
        t.is(shared.code, 0, about);
        t.deepEqual(hashesOf(output), expected, about);
        // One rank alone speaks, or this were no JSON.
        t.is(lossIn(shared.stdout), lossIn(alone.stdout), about);
      }
    }
  });
}

for (const mpi of MPIS) {
  for (const who of [0, 1]) {
    test.serial(`${mpi.name}: what rank ${who} aborts ends on all at once`, async (t) => {
      t.timeout(300_000);
      const folder = await scratch(t);
      const program = [process.execPath, join(__dirname, 'abort-rank.js')];
      const args = [join(folder, 'small'), CALIBRATION, '2', `${who}`, '4000'];
      const [launcher, ...words] = mpi.launcher;
      const command = [launcher!, ...words, '-n', '2', ...program];
      const { stdout, stderr } = await run(args, { launcher: command });
      // UCX, below MPICH, warns on stdout too of what was sent and is read by nobody any more.
      const ends = stdout
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line) as { aborted: number | null; ended: number; told: string });
      t.is(ends.length, 2, stderr);
      const aborted = ends.find((one) => one.aborted !== null)!.aborted!;
      for (const { ended, told } of ends) {
        t.regex(told, /enough|rank 1: the run was aborted/);
        // 50 ms on an idle machine; a batch of trials takes many seconds.
        t.true(ended - aborted < 1500, `${ended - aborted} ms`);
      }
    });
  }
}

const sumsOf = ({ ranks }: Pick<PruneResult, 'ranks'>) =>
  ranks.map((stages) => stages.reduce((total, { sums }) => total + sums, 0));

for (const mpi of [...MPIS.slice(0, 1), ...long(MPIS.slice(1))]) {
  test.serial(`${mpi.name}: ranks send the sums that the plan counts, to the byte`, async (t) => {
    t.timeout(300_000);
    const ran = async (...more: string[]) => {
      const output = join(await scratch(t), 'small');
      const args = prune(TINY, output, ...SOLVE, ...PAGES, ...more);
      const { code, stdout, stderr } = await onRanks(mpi, alike(3, args));
      t.is(code, 0, stderr);
      return JSON.parse(stdout) as PruneResult;
    };
    const shared = await ran();
    const { ranks } = await plan(TINY, {
      ...{ sparsity: 0.25, calibrationTokens: 3 * 4096, window: 128, tuneTokens: 0 },
      ...{ scope: 'all', allocation: 'uniform', threads: 1, ranks: 3 },
    });
    t.deepEqual(sumsOf(shared), ranks!.sent);
    t.true(sumsOf(shared)[1]! > 2 ** 20);
    for (const stages of shared.ranks) {
      const names = stages.map(({ stage }) => stage);
      t.deepEqual(names.slice(0, 1), ['rest']);
      t.true(names.includes('solve'));
      for (const { seconds, waitingSeconds, sent, sums } of stages) {
        t.true(waitingSeconds <= seconds + 1e-3);
        t.true(sums <= sent);
      }
    }
    // 1 kbit/s: rank 0 solves alone.
    const slow = await ran('--network', '0.000001', '--ffn-solver', 'output');
    t.deepEqual(sumsOf(slow), [0, 0, 0]);
  });
}

const lossIn = (stdout: string): number => JSON.parse(stdout).perplexityAfter;

/** Lines of stderr that are the program's errors. */
const errorsIn = (stderr: string) => stderr.split('\n').filter((line) => /^error: /.test(line));

/** Of so many tokens that a block takes longer than a kill, and that three ranks have some. */
const killable = (output: string, ...more: string[]) =>
  quickPrune(output, ...TRIALS, '--calibration-tokens', '12288', ...more);
let whole: Promise<Record<string, string>> | undefined;

/** What a run has that nobody kills. */
async function wholeRun(folder: string): Promise<Record<string, string>> {
  const { code, stderr } = await run(killable(join(folder, 'whole')));
  if (code !== 0) throw new Error(stderr);
  return hashesOf(join(folder, 'whole'));
}

for (const mpi of MPIS) {
  test.serial(`${mpi.name}: what ranks cannot share is said before work`, async (t) => {
    t.timeout(300_000);
    const folder = await scratch(t);
    const output = join(folder, 'small');
    const args = quickPrune(output, ...TRIALS);
    const ends = async (commands: string[][], code: number, message: RegExp) => {
      const ended = await onRanks(mpi, commands);
      t.is(ended.code, code, ended.stderr);
      const errors = errorsIn(ended.stderr);
      t.true(errors.length > 0);
      for (const error of errors) t.regex(error, message);
      t.deepEqual(readdirSync(folder), []);
      return errors.length;
    };
    const hooks = { env: { UCX_MEM_LOG_LEVEL: 'debug' } };
    const more = [1, 2].map(() => [...args, '--ranks', '3']);
    const { stdout, stderr } = await onRanks(mpi, more, hooks);
    t.notRegex(
      stdout + stderr,
      /installing \w+ hook/,
      'UCX may not try its hooks on a heap in use',
    );
    await ends(more, 2, /--ranks 3, and MPI has started 2 ranks .*STRUPRUNE_MPI/);
    const [first, second] = alike(2, args) as [string[], string[]];
    const none = join(folder, 'none');
    for (const [extra, code, message] of [
      [['--lambda', '0.1'], 2, /rank 1 differs from rank 0: --lambda none, now 0.1;/],
      [['--threads', '2'], 2, /rank 1 differs from rank 0: --threads 1, now 2;/],
      [['--scratch', none], 4, /rank 1: .*none.*ERR_SCRATCH/],
    ] as const) {
      const errors = await ends([first, [...second, ...extra]], code, message);
      t.is(errors, 1, 'the first rank alone says so');
    }
  });

  test.serial(`${mpi.name}: Ctrl-C ends all ranks`, async (t) => {
    t.timeout(300_000);
    const folder = await scratch(t);
    const output = join(folder, 'small');
    const args = quickPrune(output, ...TRIALS, '--calibration-tokens', '16384');
    const { code, stderr } = await onRanks(mpi, alike(2, args), {
      // The first line of progress: a quick machine may have no second one.
      onStderr: (text, launcher) => /^evaluate: /m.test(text) && launcher.kill('SIGINT'),
    });
    // MPICH's launcher, now and then, ends with 0 after a signal.
    if (mpi.name !== 'MPICH') t.not(code, 0, stderr);
    // Unless SIGKILL has come meanwhile.
    t.regex(errorsIn(stderr).join(), /^(error: stopped by SIG(INT|TERM)[^,]*)?$/);
    await until(() => processesWith(output).length === 0);
    // A launcher that waits for a second alone may leave the journal, and nothing else.
    t.deepEqual(
      readdirSync(folder).filter((name) => name !== JOURNAL),
      [],
    );
  });

  test.serial(`${mpi.name}: SIGKILL of a rank ends all, and another number goes on`, async (t) => {
    t.timeout(300_000);
    const folder = await scratch(t);
    whole ??= wholeRun(await scratch(t));
    const expected = await whole;
    const small = join(folder, 'small');
    const killed = async () => {
      let ended = false;
      const job = onRanks(mpi, alike(2, killable(small))).finally(() => {
        ended = true;
      });
      await until(() => ended || namesIn(join(folder, JOURNAL)).includes('block-0.json'));
      try {
        const { pid } = JSON.parse(readFileSync(join(folder, JOURNAL, 'lock.json'), 'utf8'));
        process.kill(pid, 'SIGSTOP');
        process.kill(processesWith(small).find((one) => one !== pid)!, 'SIGKILL');
      } catch {
        // They have ended meanwhile.
      }
      const { code } = await job;
      await until(() => processesWith(small).length === 0);
      // Behind the solve the first rank goes on alone: where it is not stopped in time it is done before the launcher ends it.
      if (existsSync(small)) return false;
      t.not(code, 0);
      return true;
    };
    for (let attempt = 1; !(await killed()); attempt++) {
      t.true(attempt < 10, 'no run was killed before its end');
      rmSync(small, { recursive: true });
      rmSync(join(folder, JOURNAL), { recursive: true, force: true });
    }
    const resumed = await onRanks(mpi, alike(3, killable(small, '--resume')));
    t.is(resumed.code, 0, resumed.stderr);
    t.true(JSON.parse(resumed.stdout).resumedBlocks.length > 0);
    t.deepEqual(hashesOf(small), expected);
    t.deepEqual(readdirSync(folder), ['small']);
  });
}

const onLong = isLong && MPIS.length > 0 ? test.serial : test.serial.skip;

onLong('20 SIGKILLs of any rank at any moment, each resumed by other ranks', async (t) => {
  t.timeout(3_600_000);
  const folder = await scratch(t);
  const args = (name: string, ...more: string[]) =>
    quickPrune(join(folder, name), ...TRIALS, '--calibration-tokens', '12288', ...more);
  const started = performance.now();
  t.is((await run(args('reference'))).code, 0);
  const whole = performance.now() - started;
  const small = join(folder, 'small');
  const [kills, ends] = [[] as string[], [] as number[]];
  for (let turn = 0; kills.length < 20 || ends.length === 0; turn++) {
    t.true(turn < 200, `${kills.length} kills`);
    const ranks = 1 + (turn % 3);
    const mpi = MPIS[turn % MPIS.length]!;
    let [ended, victim] = [false, -1];
    const job = onRanks(mpi, alike(ranks, args('small', '--resume'))).finally(() => {
      ended = true;
    });
    await until(() => ended || processesWith(small).length === ranks);
    const delay = Math.random() * whole;
    await Promise.race([sleep(delay), job]);
    const pids = processesWith(small);
    if (kills.length < 20 && !ended && pids.length > 0) {
      victim = pids[Math.floor(Math.random() * pids.length)]!;
      process.kill(victim, 'SIGKILL');
    }
    const { code, stderr } = await job;
    await until(() => processesWith(small).length === 0);
    const about = `${mpi.name}, ${ranks} ranks, ${victim === -1 ? 'to the end' : `killed after ${Math.round(delay)} ms`}`;
    if (existsSync(small)) {
      t.deepEqual(hashesOf(small), hashesOf(join(folder, 'reference')), about);
      t.deepEqual(readdirSync(folder).sort(), ['reference', 'small']);
      rmSync(small, { recursive: true });
      ends.push(turn);
    } else {
      t.not(victim, -1, `${about}: ${stderr}`);
      t.not(code, 0, about);
      kills.push(about);
    }
  }
  t.log(ends, kills);
});

test('an MPI that is none, or not there, is an error by name', async (t) => {
  const folder = await scratch(t);
  const args = quickPrune(join(folder, 'small'), '--ranks', '2');
  const ends = async (library: string) => {
    const { code, stderr } = await run(args, { env: { STRUPRUNE_MPI: library } });
    return [code, ...errorsIn(stderr)].join(' ');
  };
  t.regex(await ends(join(folder, 'libmpi.so')), /^3 error: the MPI library of STRUPRUNE_MPI does/);
  t.regex(await ends(addonFile()), /^2 error: the library \S+ is no MPI; name a libmpi/);
  t.deepEqual(readdirSync(folder), []);
});

test('of all calls prune alone is shared', async (t) => {
  const refused = { code: 'ERR_UNSUPPORTED', message: /^ranks: of all calls prune\(\)/ };
  await t.throwsAsync(evaluate(TINY, { text: EVALUATION, ranks: 2 }), refused);
  await using engine = new Engine({ ranks: 2, threads: 1 });
  await t.throwsAsync(evaluate(TINY, { text: EVALUATION, engine }), refused);
  const planned = await plan(TINY, { sparsity: 0.2, ranks: 2 });
  t.true(planned.memory > 0);
});

test('a network is one between ranks', async (t) => {
  const expected = { code: 'ERR_ARGUMENT', message: /network: it is what ranks can send/ };
  const options = { output: 'out', calibration: EVALUATION, sparsity: 0.2, network: 1 };
  await t.throwsAsync(plan(TINY, options), expected);
  await t.throwsAsync(doPrune(TINY, options), expected);
});

test("a launcher's socket that was closed is said", async (t) => {
  const folder = await scratch(t);
  const args = quickPrune(join(folder, 'small'), '--ranks', '2');
  const { code, stderr } = await run(args, { env: { PMI_FD: '99' } });
  t.is(code, 2);
  t.regex(stderr, /PMI_FD.*npx closes it; have mpirun start `node_modules\/\.bin/);
});

test('without --ranks no MPI is opened', async (t) => {
  const folder = await scratch(t);
  const env = { STRUPRUNE_MPI: join(folder, 'libmpi.so') };
  const { code, stderr } = await run(
    quickPrune(join(folder, 'small'), '--method', 'magnitude-l2', '--no-refit', '--json'),
    { env },
  );
  t.is(code, 0, stderr);
});

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(20);
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Processes of Node, as Linux lists them, with that word in their command line. */
function processesWith(word: string): number[] {
  return namesIn('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        return words[0] === process.execPath && words.includes(word);
      } catch {
        return false;
      }
    })
    .map(Number);
}
