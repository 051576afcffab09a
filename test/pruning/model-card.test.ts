/** The command in a model card is one that the program understands. */
import test from 'ava';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { PRUNE_FLAGS } from '../../lib/cli/flags/prune';
import { pick } from '../../lib/pruning/journal/identity';
import { commandOf } from '../../lib/pruning/model-card';
import { SETTING_KEYS, settingsOf } from '../../lib/pruning/options';
import { workspace } from '../e2e/models';

const work = workspace();
test.after.always(() => work.remove());

test('every flag of the command exists, and says what the settings say', async (t) => {
  const settings = settingsOf({
    output: 'out',
    calibration: '/texts/calibration.txt',
    sparsity: 0.25,
    allocation: 'energy',
    apart: true,
    maxShardBytes: 1e9,
    multiple: 32,
    refit: false,
    sequential: false,
    temperature: 0.5,
    window: 128,
  });
  const command = commandOf(
    await openCheckpoint(work.model('llama2')),
    pick(settings, SETTING_KEYS),
  );
  const known = new Set(Object.values(PRUNE_FLAGS).map(({ flag }) => flag.match(/--[a-z-]+/)![0]));
  const used = command.match(/--[a-z-]+/g)!;
  t.deepEqual(
    used.filter((flag) => !known.has(flag)),
    [],
  );
  t.is(new Set(used).size, used.length);
  for (const part of [
    '--sparsity 0.25',
    '--apart',
    '--multiple 32',
    '--no-refit',
    '--window 128',
  ]) {
    t.true(command.includes(part), command);
  }
  t.true(command.includes('--calibration calibration.txt'));
});
