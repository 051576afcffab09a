import { join } from 'node:path';
import test from 'ava';
import { runHere } from './here';
import { EVALUATION, run, TINY } from './run';

const ARGS = ['eval', TINY, '--text', EVALUATION, '--window', '128', '--max-tokens', '600'];

test('--json: JSON alone on stdout', async (t) => {
  const { code, stdout, stderr } = await run([...ARGS, '--json']);
  t.is(code, 0, stderr);
  const result = JSON.parse(stdout);
  // 600 tokens hold four whole windows.
  t.is(result.tokens, 512);
  t.is(result.window, 128);
  t.true(result.perplexity > 1 && result.perplexity < 200, String(result.perplexity));
  t.true(Math.abs(Math.log(result.perplexity) - result.meanNll) < 1e-9);
  t.true(result.tokensPerSecond > 0);
  t.true(result.peakRssBytes > 2 ** 20);
  t.true(result.gemmShare > 0 && result.gemmRate > 0);
});

test('without it: lines for people, no escape sequences in a pipe', async (t) => {
  const { code, stdout, stderr } = await run([...ARGS, '--no-gemm-share', '--threads', '1'], {
    env: { FORCE_COLOR: '1', CI: '1' },
  });
  t.is(code, 0, stderr);
  t.regex(stdout, /^perplexity +\d+\.\d{3}\n/);
  t.regex(stdout, /^measured on +512 tokens in 4 windows of 128$/m);
  t.notRegex(stdout, /sgemm/);
  t.false((stdout + stderr).includes('\x1b'));
});

const QUESTIONS = join(TINY, '../tasks/everyday.jsonl');

test('--tasks: right answers, alone or behind a text', async (t) => {
  const { code, stdout, stderr } = await runHere([
    ...ARGS,
    '--tasks',
    QUESTIONS,
    '--against',
    TINY,
  ]);
  t.is(code, 0, stderr);
  t.regex(stdout, /^perplexity +\d/);
  t.regex(stdout, /^KL to it +-?0\.0000 nats per token$/m);
  t.regex(stdout, /^same token first +100\.0 %$/m);
  t.regex(
    stdout,
    /^multiple choice +40 questions\nacc +37\.5 % ± 7\.8 %\nacc_norm +32\.5 % ± 7\.5 %$/m,
  );
  const alone = await runHere(['eval', TINY, '--tasks', QUESTIONS, '--json']);
  t.deepEqual(Object.keys(JSON.parse(alone.stdout)), ['tasks']);
  t.notRegex(alone.stderr, /no effect/);
  const idle = await runHere(['eval', TINY, '--tasks', QUESTIONS, '--json', '--window', '64']);
  t.regex(idle.stderr, /warning: --window has no effect without --text/);
});

test('nothing to measure on is refused', async (t) => {
  const { code, stderr } = await runHere(['eval', TINY]);
  t.is(code, 2);
  t.regex(stderr, /nothing to measure on; give a --text, or questions by --tasks/);
});
