/** bench peers with a program that does nothing but say so. */
import { writeFileSync } from 'node:fs';
import test from 'ava';
import { answerOf } from '../../lib/bench/peers/job';
import type { PeersOptions } from '../../lib/bench/peers/options';
import { benchPeers } from '../../lib/bench/peers/run';
import { runProgram } from '../../lib/bench/process';
import { benchSchema } from '../../lib/documents/bench';
import { StruPruneError } from '../../lib/errors';
import { CALIBRATION, TINY } from '../cli/run';
import { EVALUATION, workspace } from '../e2e/models';

const work = workspace();
test.after.always(() => work.remove());

function options(more: Partial<PeersOptions> = {}): PeersOptions {
  return {
    calibration: CALIBRATION,
    calibrationTokens: 512,
    surveyTokens: 256,
    window: 128,
    eval: EVALUATION,
    evalTokens: 512,
    sparsity: 0.25,
    threads: 1,
    ...more,
  };
}

/** Reads the job and its tokens, holds some memory for a moment, and answers. */
const PEER = `
const { readFileSync } = require('node:fs');
const job = JSON.parse(readFileSync(process.argv.at(-1), 'utf8'));
const tokens = readFileSync(job.calibration.ids).length / 4;
const held = Buffer.alloc(64 * 2 ** 20, 1);
setTimeout(() => {
  console.log('words before the answer');
  const stages = [{ name: 'evaluate', seconds: 0.1 }, { name: 'tokens', seconds: tokens + held[0] - 1 }];
  console.log(JSON.stringify({ stages, forwardShare: 0.5, perplexity: job.sparsity * 100 + job.multiple }));
}, 300);
`;

test('times, memory and the answer of a program, beside our own', async (t) => {
  const script = work.path('peer.js');
  writeFileSync(script, PEER);
  const command = [`${JSON.stringify(process.execPath)} ${JSON.stringify(script)}`];
  const document = await benchPeers(TINY, options({ command }));
  const { peers } = benchSchema.parse(document);
  const [peer] = peers!.peers;
  t.deepEqual(peer!.stages[1], { name: 'tokens', seconds: 512 });
  t.is(peer!.forwardShare, 0.5);
  t.is(peer!.perplexity, 25 + 8);
  t.true(peer!.seconds > 0.19, String(peer!.seconds));
  t.true(peer!.peakRssBytes! > 64 * 2 ** 20);
  const { ours } = peers!;
  t.is(peer!.ratios.seconds, peer!.seconds / ours.seconds);
  t.is(peer!.ratios.memory, peer!.peakRssBytes! / ours.peakRssBytes!);
  t.true(ours.perplexity! > 1 && ours.perplexity! < 200);
  // What it measures is no part of pruning, as with the others.
  const stages = ours.stages
    .filter(({ name }) => name !== 'evaluate')
    .reduce((sum, { seconds }) => sum + seconds, 0);
  t.is(ours.stages.length, 4);
  t.true(ours.stages[3]!.seconds > 0);
  t.true(Math.abs(stages - ours.seconds) < 1e-6);
  const needed = peers!.useful.reduce((sum, { seconds }) => sum + seconds, 0);
  t.true(peers!.useful.every(({ flops }) => flops > 0));
  t.is(peers!.overUseful, ours.seconds / needed);
});

test('numbers that Python writes and JSON does not know are none', (t) => {
  const line =
    '{"stages": [{"name": "prune", "seconds": 2}], "forwardShare": -Infinity, "perplexity": NaN}';
  t.deepEqual(answerOf(`loading\n${line}\n`), {
    stages: [{ name: 'prune', seconds: 2 }],
    forwardShare: null,
    perplexity: null,
    peakBytes: null,
  });
});

test('what a program had resident while it pruned is what counts', async (t) => {
  const script = work.path('peer.js');
  writeFileSync(script, 'console.log(JSON.stringify({ peakBytes: 12345678 }));');
  const command = [`${JSON.stringify(process.execPath)} ${JSON.stringify(script)}`];
  const { peers } = await benchPeers(TINY, options({ command, eval: undefined }));
  t.is(peers!.peers[0]!.peakRssBytes, 12345678);
});

test('a program that fails, and one that is not there', async (t) => {
  const failing = ['/bin/sh', '-c', 'echo what went wrong >&2; exit 3'];
  const error = await t.throwsAsync(runProgram(failing, { signal: undefined }), {
    instanceOf: StruPruneError,
  });
  t.is(error.code, 'ERR_UNSUPPORTED');
  t.regex(error.message, /ended with 3: what went wrong/);
  const missing = await t.throwsAsync(runProgram([work.path('none')], { signal: undefined }), {
    instanceOf: StruPruneError,
  });
  t.is(missing.code, 'ERR_NOT_FOUND');
});

test('without a program of its own, an ungated model is refused before any work', async (t) => {
  const error = await t.throwsAsync(benchPeers(work.model('opt-pre'), options({ window: 48 })), {
    instanceOf: StruPruneError,
  });
  t.is(error.code, 'ERR_UNSUPPORTED');
  t.regex(error.message, /with command/);
});

test('a Python without torch is refused before our own prune', async (t) => {
  const onProgress = () => t.fail('work has begun');
  const asked = options({ python: '/bin/false', onProgress });
  await t.throwsAsync(benchPeers(TINY, asked), {
    instanceOf: StruPruneError,
    code: 'ERR_UNSUPPORTED',
    message: /\/bin\/false does not import torch and transformers.*python/,
  });
});
