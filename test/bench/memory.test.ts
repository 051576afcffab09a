/** bench memory on a model of a few seconds, and its parts. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import test from 'ava';
import { memoryLimit } from '../../lib/bench/memory/limit';
import { writeRandomCheckpoint } from '../../lib/bench/memory/random-checkpoint';
import { benchMemory } from '../../lib/bench/memory/run';
import { optConfig, SHAPES } from '../../lib/bench/memory/shapes';
import { logLogSlope } from '../../lib/bench/memory/slope';
import { treeBytes } from '../../lib/bench/memory/tree';
import { runProgram } from '../../lib/bench/process';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { benchSchema } from '../../lib/documents/bench';
import { PLAIN_NODE } from '../../lib/engine/plain-node';
import { evaluate } from '../../lib/evaluate';
import { architectureFromConfig } from '../../lib/model/from-config';
import { totalParameters } from '../../lib/model/groups';
import { CALIBRATION, EVALUATION, workspace } from '../e2e/models';

const TINY = join(__dirname, '../../assets/tiny-opt');
const work = workspace();
test.after.always(() => work.remove());

test('the slope of powers is their exponent', (t) => {
  const points = [125e6, 350e6, 1.3e9].map((n) => [n, 7 * n ** 0.45] as const);
  t.true(Math.abs(logLogSlope(points)! - 0.45) < 1e-12);
  t.is(logLogSlope(points.slice(0, 1)), null);
});

test('shapes have the parameters of their papers', (t) => {
  const opt = { '125m': 125.2e6, '350m': 331.2e6, '1.3b': 1315.8e6, '2.7b': 2651.6e6 };
  // Of 46.7 and 30.5 billion what two blocks of 32 and of 48 hold.
  const vectors = 2 * 32000 * 4096;
  const experts = {
    'mixtral-8x7b': (46.703e9 - vectors) / 16 + vectors,
    'qwen3-30b-a3b': (30.532e9 - 2 * 151936 * 2048) / 24 + 2 * 151936 * 2048,
  };
  const published = { ...opt, ...experts };
  for (const [name, parameters] of Object.entries(published)) {
    const { config } = SHAPES.find((one) => one.name === name)!;
    const counted = totalParameters(architectureFromConfig(config, name));
    t.true(Math.abs(counted / parameters - 1) < 1e-3, `${name}: ${counted}`);
  }
});

test('a random checkpoint is one that the program runs, with weights of the asked spread', async (t) => {
  const folder = work.path('random');
  const shape = { hidden: 64, blocks: 2, heads: 4 };
  await writeRandomCheckpoint(folder, { ...optConfig(shape), vocab_size: 2048 }, TINY);
  const source = await openCheckpoint(folder);
  t.deepEqual(source.architecture.blocks, Array(2).fill({ ffn: 256, heads: 4, kvHeads: 4 }));
  const { perplexity } = await evaluate(folder, { text: EVALUATION, window: 128, maxTokens: 1024 });
  // Logits of a random model are near 0: about every token is as likely as another.
  t.true(perplexity > 1500 && perplexity < 3000, String(perplexity));
});

test('memory of a tree counts the children', async (t) => {
  const hold = 'const held = Buffer.alloc(96 * 2 ** 20, 1); setInterval(() => held[0]++, 1000);';
  const parent = `require('node:child_process').spawn(process.execPath, ['-e', ${JSON.stringify(hold)}], { stdio: ['pipe', 'ignore', 'ignore'] }); setInterval(() => {}, 1000)`;
  const child = spawn(process.execPath, ['-e', parent], { stdio: 'ignore', detached: true });
  t.teardown(() => process.kill(-child.pid!, 'SIGKILL'));
  const deadline = Date.now() + 60_000;
  let seen = 0;
  while (seen < 96 * 2 ** 20 && Date.now() < deadline) {
    seen = treeBytes(child.pid!) ?? 0;
    await new Promise((done) => setTimeout(done, 50));
  }
  t.true(seen >= 96 * 2 ** 20, String(seen));
  t.is(treeBytes(2 ** 22 + 1), null);
});

const probe = memoryLimit(2 ** 30);
probe?.remove();
(probe ? test : test.skip)('a control group kills what takes more than its limit', async (t) => {
  const limit = memoryLimit(160 * 2 ** 20)!;
  t.teardown(() => limit.remove());
  const hold = (mib: number) => {
    const script = `Buffer.alloc(${mib} * 2 ** 20, 1)`;
    const around = { env: PLAIN_NODE, signal: undefined, within: limit.within };
    return runProgram([process.execPath, '-e', script], around);
  };
  await hold(48);
  t.false(limit.exceeded());
  t.true(limit.chargedBytes()! > 48 * 2 ** 20, String(limit.chargedBytes()));
  await t.throwsAsync(hold(256), { message: /SIGKILL/ });
  t.true(limit.exceeded());
});

test('one model under two budgets: same bytes, peaks seen from outside', async (t) => {
  const options = {
    output: work.path('rows'),
    calibration: CALIBRATION,
    calibrationTokens: 2048,
    window: 128,
    budgets: [0],
    threads: 1,
  };
  const document = await benchMemory(TINY, options);
  const { memory } = benchSchema.parse(document);
  const [smallest, free] = memory!.rows;
  t.is(memory!.rows.length, 2);
  t.true(smallest!.smallest && !free!.smallest);
  t.is(free!.budgetBytes, null);
  t.is(smallest!.sha256, free!.sha256);
  t.is(smallest!.limitBytes !== null, probe !== null);
  t.is(free!.limitBytes, null);
  t.true(smallest!.nativePeakBytes <= smallest!.budgetBytes!);
  t.true(smallest!.nativePeakBytes <= free!.nativePeakBytes);
  t.true(free!.peakBytes! > memory!.idleBytes! + free!.nativePeakBytes / 2);
  t.is(memory!.slope, null);

  // Finished rows, seconds and all, are not made again; one more budget is.
  const again = await benchMemory(TINY, { ...options, budgets: [0, 2 ** 30] });
  t.deepEqual(again.memory!.rows.slice(0, 2), memory!.rows);
  t.is(again.memory!.rows[2]!.sha256, free!.sha256);
  t.is(smallest!.label, 'tiny-opt');
  await t.throwsAsync(benchMemory(TINY, { ...options, budgets: [2 ** 20] }), {
    code: 'ERR_BUDGET',
    message: /below the smallest/,
  });
  await t.throwsAsync(benchMemory(TINY, { ...options, sparsity: 0.3 }), { code: 'ERR_OUTPUT' });
});
