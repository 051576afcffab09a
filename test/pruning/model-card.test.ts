/** The command in a model card is one that the program understands. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import {
  licenceLines,
  licenceMetadata,
  licenceOf,
  licenceWords,
} from '../../lib/checkpoint/licence';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { FLAGS } from '../../lib/cli/flags';
import { OPTIONS, settingsOf } from '../../lib/options';
import { pick } from '../../lib/pruning/journal/identity';
import { commandOf } from '../../lib/pruning/model-card';
import { workspace } from '../e2e/models';

const work = workspace();
test.after.always(() => work.remove());

test('every flag of the command exists, and says what the settings say', async (t) => {
  const settings = settingsOf({
    output: 'out',
    calibration: "/texts/Ann's own.txt",
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
    pick(settings, Object.keys(OPTIONS)),
  );
  const known = new Set(FLAGS.prune.map(([, { flag }]) => flag.match(/--[a-z-]+/)![0]));
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
  // As a shell reads it.
  t.true(command.includes("--calibration 'Ann'\\''s own.txt'"), command);
});

const CARDS: [front: string, lines: string[]][] = [
  ['license: apache-2.0', ['license: apache-2.0']],
  ['language: en\r\nlicense: "mit" # see LICENSE\r', ['license: mit']],
  [
    "license: other\nlicense_name: 'own terms'\nlicense_link: https://example.org/terms#2",
    ['license: other', 'license_name: "own terms"', 'license_link: "https://example.org/terms#2"'],
  ],
  ['license:\n- mit\n- apache-2.0', []],
  ['license: [mit]', []],
  ['tags: [license]', []],
];
test('the licence is that of the source: its card, else config.json or GGUF metadata', async (t) => {
  const folder = work.model('llama2');
  const source = await openCheckpoint(folder);
  t.deepEqual(licenceMetadata(licenceOf(source)), {});
  t.regex(licenceWords(licenceOf(source)), /^that of the source model/);
  for (const [front, lines] of CARDS) {
    writeFileSync(join(folder, 'README.md'), `---\n${front}\n---\nlicense: none\n`);
    t.deepEqual(licenceLines(licenceOf(source)), lines, front);
  }
  t.deepEqual(licenceOf({ ...source, config: { license: 'mit' } }), { license: 'mit' });
  const config = {
    'general.license': { type: 'string', value: 'other\nowner: me' },
    'general.license.name': { type: 'string', value: 'own' },
  };
  const gguf = licenceOf({ ...source, format: 'gguf', config });
  t.deepEqual(licenceMetadata(gguf), config as never);
  t.deepEqual(licenceLines(gguf), ['license: "other\\nowner: me"', 'license_name: own']);
});
