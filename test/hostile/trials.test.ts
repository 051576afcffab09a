/**
 * Damaged files of strangers: a result or an error with a code, in 10 seconds and a bounded memory. CI has 2,000 more of
 * them; 100,000: npm run test:hostile.
 */
import test from 'ava';
import { runTrials } from './run-trials';
import { KINDS } from './trials';

const COUNT = 200;

test('no damaged file ends the process, hangs, fills memory or is an error without a code', async (t) => {
  t.timeout(3_600_000);
  const { faults, ended } = await runTrials(COUNT);
  t.deepEqual(faults, []);
  // The trials of every kind say something of files that are nearly right, too.
  for (const kind of KINDS) {
    const { accepted = 0, ...refused } = ended[kind]!;
    t.true(accepted > 0 && Object.keys(refused).length > 0, `${kind}: ${JSON.stringify(ended)}`);
  }
});
