/** The command in a model card is one that the program understands. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'ava';
import {
  licenceLines,
  licenceMetadata,
  licenceOf,
  licenceWords,
} from '../../../lib/checkpoint/licence';
import { openCheckpoint } from '../../../lib/checkpoint/open';
import { FLAGS } from '../../../lib/cli/flags';
import { commandOf, modelCard } from '../../../lib/models/decoders/model-card';
import { OPTIONS, settingsOf } from '../../../lib/options';
import { prune } from '../../../lib/prune';
import { pick } from '../../../lib/pruning/journal/identity';
import { CALIBRATION, workspace } from '../../e2e/models';

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

test('the card names the base model by its place in the cache of the hub', async (t) => {
  const output = work.path('out');
  const snapshot = join(work.emptyFolder(), 'models--owner--the model', 'snapshots', '0');
  mkdirSync(dirname(snapshot), { recursive: true });
  renameSync(work.model('llama2'), snapshot);
  const text = { calibration: CALIBRATION, calibrationTokens: 48, window: 48 };
  await prune(snapshot, { output, sparsity: 0.25, method: 'magnitude-l2', threads: 1, ...text });
  const [, front, body] = readFileSync(join(output, 'README.md'), 'utf8').split(/^---\n/m);
  const lines = [
    'base_model: "owner/the model"',
    'library_name: transformers',
    'pipeline_tag: text-generation',
  ];
  for (const line of lines) t.true(front!.split('\n').includes(line), line);
  const { auto_map: ours } = JSON.parse(readFileSync(join(output, 'config.json'), 'utf8'));
  t.is(/trust_remote_code/.test(body!.split('```')[1]!), ours !== undefined);
});

test('names and licences of strangers are text in the card', async (t) => {
  const source = await openCheckpoint(work.model('llama2'));
  const evil = 'x|y\n# z <img src=x onerror=alert(1)> `w` \u202e';
  const settings = settingsOf({ output: 'out', calibration: evil, eval: evil, sparsity: 0.25 });
  const card = modelCard(
    { ...source, path: `/models/${evil}`, config: { ...source.config, license: evil } },
    [{ name: evil, sha256: '0' }],
    {
      settings: pick(settings, Object.keys(OPTIONS)),
      calibrationTokens: 1,
      tuning: null,
      window: 1,
      method: 'magnitude',
      allocation: 'uniform',
      scope: 'ffn',
      parametersBefore: 1,
      parametersAfter: 1,
      sparsity: 0,
      fileSparsity: 0,
      perplexityBefore: null,
      perplexityAfter: null,
      measuredOn: evil,
      kind: 'stock',
      seeing: false,
      notes: [evil],
    },
  );
  t.notRegex(card, /\u202e/);
  const [, front, body] = card.split(/^---\n/m);
  t.is(front!.split('\n').length, 5, front);
  // Of the lines that are meant, as many as ever.
  t.is(body!.match(/^# /gm)!.length, 1);
  t.is(body!.match(/^\| /gm)!.length, 11);
  const [about, usage, files, command] = body!.split('```');
  const text = `${about}${files}`;
  t.regex(usage!, /^python\n[\s\S]*from_pretrained\(name\)\n/);
  for (const line of text.split('\n')) {
    t.notRegex(line, /(?<!\\)<|(?<!\\)`/, line);
    if (line.startsWith('|')) t.is(line.match(/(?<!\\)\|/g)!.length, 3, line);
  }
  t.is(command!.trim().split('\n').length, 1);
});
