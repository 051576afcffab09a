/** One engine for many calls: turns, signals, budgets, the end. */
import { existsSync, mkdirSync, readdirSync, readlinkSync } from 'node:fs';
import test from 'ava';
import { Engine, evaluate, openModel, plan, prune, pruneReport, survey } from '../../lib';
import { processReserve } from '../../lib/engine/reserve';
import { StruPruneError } from '../../lib/errors';
import { hashesOf } from '../e2e/files';
import { workspace } from '../e2e/models';
import { EVALUATION, SMALL, SMALL_SURVEY, workFolder } from './models';

const work = workFolder();
const models = workspace();
test.after.always(() => {
  work.remove();
  models.remove();
});

const MODEL = models.model('llama2');

const TEXT = { text: EVALUATION, window: 128, maxTokens: 1024 };

test('calls on one engine take turns, and are those of engines of their own', async (t) => {
  await using engine = new Engine({ threads: 2, memory: 2 ** 30 });
  const running = new Set<string>();
  const watch = (name: string) => () => {
    running.add(name);
    t.deepEqual([...running].at(-1), name);
  };
  const model = await openModel(MODEL);
  const options = { ...SMALL, sparsity: 0.2, allocation: 'uniform' as const };
  const [first, second, evaluation] = await Promise.all([
    prune(model, { ...options, output: work.path('a'), engine, onProgress: watch('first') }),
    prune(MODEL, { ...options, output: work.path('b'), engine, onProgress: watch('second') }),
    evaluate(model, { ...TEXT, engine, onProgress: watch('evaluation') }),
  ]);
  t.deepEqual([...running], ['first', 'second', 'evaluation']);
  t.deepEqual(hashesOf(first.output), hashesOf(second.output));
  const alone = await prune(MODEL, { ...options, output: work.path('c'), threads: 2 });
  t.deepEqual(hashesOf(alone.output), hashesOf(first.output));
  t.is(evaluation.meanNll, (await evaluate(MODEL, { ...TEXT, threads: 2 })).meanNll);
  t.is(engine.memory.used, 0, 'nothing stays allocated between calls');
  t.true(engine.memory.peak > 0);
  t.is(engine.memory.limit, 2 ** 30 - processReserve(2));
  const planned = await plan(model, { ...options, engine });
  t.true(planned.fits && planned.memory <= 2 ** 30);
});

test('a call has the options that it was made with, however late its turn comes', async (t) => {
  await using engine = new Engine({ threads: 1 });
  const options = { ...SMALL, method: 'magnitude-l2' as const, sparsity: 0, output: '', engine };
  const calls = [0.1, 0.2].map((sparsity) => {
    options.sparsity = sparsity;
    options.output = work.path(`mutated-${sparsity}`);
    return prune(MODEL, options);
  });
  options.sparsity = 7;
  let ended = false;
  const refused = t.throwsAsync(prune(MODEL, options), { message: /^option sparsity is 7/ });
  const all = Promise.all(calls).finally(() => {
    ended = true;
  });
  await refused;
  t.false(ended, 'what is refused does not wait for its turn');
  const results = await all;
  t.deepEqual(
    results.map(({ settings, output }) => [settings.sparsity, existsSync(output)]),
    [
      [0.1, true],
      [0.2, true],
    ],
  );
});

test("a signal stops its own call, whether it waits or runs, and leaves the engine's others", async (t) => {
  await using engine = new Engine({ threads: 1 });
  const [running, waiting] = [new AbortController(), new AbortController()];
  const output = work.path('stopped');
  const first = prune(MODEL, {
    ...SMALL,
    output,
    sparsity: 0.2,
    engine,
    signal: running.signal,
    onProgress: () => {
      waiting.abort(new Error('no longer wanted'));
      running.abort(new Error('enough'));
    },
  });
  const second = evaluate(MODEL, { ...TEXT, engine, signal: waiting.signal });
  const third = evaluate(MODEL, { ...TEXT, engine });
  await Promise.all([
    t.throwsAsync(first, { message: 'enough' }),
    t.throwsAsync(second, { message: 'no longer wanted' }),
  ]);
  t.true((await third).perplexity > 1);
  t.false(existsSync(output));
  const late = evaluate(MODEL, { ...TEXT, engine, signal: AbortSignal.abort('before') });
  t.is(await late.catch((reason) => reason), 'before');
});

test('several engines work at once, with the results of one after the other', async (t) => {
  const nllOf = async (threads: number) => {
    await using engine = new Engine({ threads });
    return (await evaluate(MODEL, { ...TEXT, engine })).meanNll;
  };
  const together = await Promise.all([1, 2, 1].map(nllOf));
  t.deepEqual(together, [await nllOf(1), await nllOf(2), await nllOf(1)]);
});

test('dispose waits for the calls it has and takes no more', async (t) => {
  const engine = new Engine({ threads: 1 });
  const before = evaluate(MODEL, { ...TEXT, engine });
  const disposed = engine.dispose();
  await t.throwsAsync(evaluate(MODEL, { ...TEXT, engine }), {
    code: 'ERR_ARGUMENT',
    message: /disposed of/,
  });
  t.true((await before).perplexity > 1);
  await disposed;
  await engine.dispose();
});

test('options that an engine cannot have', async (t) => {
  for (const [options, message] of [
    [{ threads: 0 }, /threads/],
    [{ threads: 1.5 }, /threads/],
    [{ memory: -1 }, /memory/],
    [{ cores: 2 }, /cores/],
  ] as const) {
    t.throws(() => new Engine(options as object), { code: 'ERR_ARGUMENT', message });
  }
  await using engine = new Engine();
  await t.throwsAsync(evaluate(MODEL, { ...TEXT, engine, threads: 2 }), {
    code: 'ERR_ARGUMENT',
    message: /threads: the engine that is given has its own/,
  });
});

test("an engine's budget refuses a run before it starts", async (t) => {
  await using engine = new Engine({ threads: 1, memory: 29 * 2 ** 20 });
  const output = work.path('large');
  const run = prune(MODEL, { ...SMALL, output, sparsity: 0.2, engine });
  await t.throwsAsync(run, {
    code: 'ERR_BUDGET',
    message: /raise memory to \d+ \* 2 \*\* 20 or more/,
  });
  t.false(existsSync(output));
  t.false(existsSync(`${output}.struprune-journal`));
});

test('a budget that the process itself takes is refused with the engine', (t) => {
  const make =
    (threads: number, mebibytes = 32) =>
    () =>
      new Engine({ threads, memory: mebibytes * 2 ** 20 });
  const error = t.throws(make(2), { instanceOf: StruPruneError });
  t.is(error.code, 'ERR_BUDGET');
  t.regex(t.throws(make(1, 1)).message, /MiB with 1 thread, .*raise memory well above [^,]*$/);
  t.regex(error.message, /32 MiB with 2 threads.*raise memory .*fewer threads/);
  t.regex(
    t.throws(() => new Engine({ threads: 1, memory: 512 })).message,
    /the budget is 512 bytes; was a unit left out\? raise memory/,
  );
});

test('progress tells stage, block, bytes and time', async (t) => {
  const blocks: (number | null)[] = [];
  let most = 0;
  const options = { output: work.path('out'), sparsity: 0.2, allocation: 'uniform' as const };
  await prune(MODEL, {
    ...SMALL,
    ...options,
    onProgress: ({ stage, block, bytes, secondsLeft }) => {
      most = Math.max(most, bytes);
      t.true(secondsLeft === null || secondsLeft >= 0);
      if (stage === 'solve') blocks.push(block);
    },
  });
  t.deepEqual(blocks, [...blocks.keys()]);
  t.true(blocks.length > 1);
  t.true(most > 0);
});

test('a report of a run that is over: its engine gone, its signal fired', async (t) => {
  const engine = new Engine({ threads: 3 });
  const controller = new AbortController();
  const options = {
    ...SMALL,
    output: work.path('reported'),
    method: 'magnitude-l2' as const,
    sparsity: 0.2,
    engine,
    signal: controller.signal,
  };
  const result = await prune(MODEL, options);
  await engine.dispose();
  controller.abort();
  const page = await pruneReport(MODEL, options, result);
  t.regex(page, /<td[^>]*>3<\/td>|3 threads/);
});

test('a survey is refused before it starts where it cannot be made or kept', async (t) => {
  const onProgress = () => t.fail('work began');
  const reserve = processReserve(1);
  await t.throwsAsync(
    survey(MODEL, { ...SMALL_SURVEY, threads: 1, memory: reserve + 1000, onProgress }),
    {
      code: 'ERR_BUDGET',
      message: /survey needs \d+ MiB, the budget is/,
    },
  );
  const saveCalibration = `${EVALUATION}/curves`;
  await t.throwsAsync(survey(MODEL, { ...SMALL_SURVEY, threads: 1, saveCalibration, onProgress }), {
    code: 'ERR_OUTPUT',
    message: /a part of the path is a file/,
  });
});

test('scratch files are those of the call that runs: an engine keeps none', async (t) => {
  const small = { ...SMALL, sparsity: 0.2, allocation: 'uniform' as const };
  const { smallestMemory } = await plan(MODEL, { ...small, threads: 1 });
  await using engine = new Engine({ threads: 1, memory: smallestMemory });
  const filesIn = (folder: string) =>
    readdirSync('/proc/self/fd')
      .map((fd) => {
        try {
          return readlinkSync(`/proc/self/fd/${fd}`);
        } catch {
          return '';
        }
      })
      .filter((path) => path.startsWith(folder)).length;
  const traffic: number[] = [];
  for (const name of ['first', 'second']) {
    const scratch = work.path(name);
    mkdirSync(scratch);
    let most = 0;
    const onProgress = () => {
      most = Math.max(most, filesIn(scratch));
    };
    const result = await prune(MODEL, {
      ...small,
      output: work.path('out'),
      scratch,
      engine,
      onProgress,
    });
    t.is(most, 1, 'the budget asks for scratch');
    t.is(filesIn(scratch), 0);
    traffic.push(result.scratchTraffic.written);
  }
  t.true(traffic[0]! > 0);
  // What is written behind depends on the moment, a little.
  t.true(Math.abs(traffic[1]! / traffic[0]! - 1) < 0.2, `each call counts its own: ${traffic}`);
});
