/** The torch reference of bench peers prunes the embedded model to the same widths and perplexity as we do. */
import { join } from 'node:path';
import test from 'ava';
import { benchPeers } from '../../lib/bench/peers/run';
import { CALIBRATION, EVALUATION, TINY } from '../cli/run';

test.serial('torch finds the same model', async (t) => {
  t.timeout(10 * 60 * 1000);
  process.env.PYTHONPATH = process.env.STRUPRUNE_ORACLES;
  const document = await benchPeers(TINY, {
    calibration: CALIBRATION,
    calibrationTokens: 8192,
    surveyTokens: 4096,
    window: 256,
    eval: EVALUATION,
    evalTokens: 8192,
    output: join(__dirname, 'unused'),
  });
  const { ours, peers } = document.peers!;
  const [torch] = peers;
  t.log(JSON.stringify({ ours, torch }));
  // The same masks leave rounding alone; a single other channel shows in the third digit.
  t.true(Math.abs(torch!.perplexity! / ours.perplexity! - 1) < 1e-4);
  t.true(torch!.forwardShare! > 0);
});
