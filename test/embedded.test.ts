import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test from 'ava';
import { embeddedMix, embeddedModel, embeddedTexts, prune } from '../lib';
import { overlapWarning } from '../lib/calibration/corpus';
import { tokenize } from '../lib/tokenizer';
import { inTurns } from '../lib/turns';

const { calibration, evaluation } = embeddedMix();
const ids = (path: string) => tokenize({ kind: 'folder', folder: embeddedModel() }, path);

test('the mix has no passage of what is measured on', async (t) => {
  const mix = await ids(calibration);
  t.true(mix.length > 131_072);
  for (const text of [evaluation, embeddedTexts().evaluation]) {
    t.is(await inTurns(overlapWarning(mix, await ids(text))), null, text);
  }
});

test('beginning and end of the mix are of every kind', (t) => {
  const KINDS = {
    prose: /\bMr\. \w+|Congress/,
    python: /^ +(def \w+\(|return self|raise \w+\(|elif )/m,
    c: /->\w/,
    javascript: /\bfunction\b.*\{$/m,
    guides: /^``?`|\.\. code-block::/m,
    dialogue: /^A: .*\nB: /m,
    scripts: /[а-я]{4}|[一-龥]{4}|[ء-ي]{4}|[가-힣]{3}|[क-ह]{2}/,
    europe: /\b(droits|Rechte|derechos|diritti|direitos|prawa)\b/i,
  };
  const text = readFileSync(calibration, 'utf8');
  for (const part of [text.slice(0, 120_000), text.slice(-120_000)]) {
    for (const [kind, pattern] of Object.entries(KINDS)) t.true(pattern.test(part), kind);
  }
});

test('without a text the mix calibrates, and the result says so', async (t) => {
  const output = join(await mkdtemp(join(tmpdir(), 'struprune-mix-')), 'out');
  t.teardown(() => rm(dirname(output), { recursive: true, force: true }));
  const quick = {
    sparsity: 0.2,
    allocation: 'uniform',
    calibrationTokens: 512,
    tuneTokens: 0,
    window: 128,
  } as const;
  const { settings, notes } = await prune(embeddedModel(), { output, ...quick });
  t.is(settings.calibration, calibration);
  t.regex(notes.join(), /calibrated on this package's mix of prose.* loses less/);
  const card = readFileSync(join(output, 'README.md'), 'utf8');
  t.regex(card, /prune tiny -o OUT --/);
  t.notRegex(card, /--calibration /);
});

test('what calibrates on nothing says nothing of the mix', async (t) => {
  const output = join(await mkdtemp(join(tmpdir(), 'struprune-mix-')), 'out');
  t.teardown(() => rm(dirname(output), { recursive: true, force: true }));
  const quick = { sparsity: 0.2, calibrationTokens: 512, window: 128 } as const;
  const asked = { output, ...quick, method: 'magnitude-l2' } as const;
  const { notes, calibrationTokens } = await prune(embeddedModel(), asked);
  t.is(calibrationTokens, 0);
  t.notRegex(notes.join(), /mix of prose/);
  t.regex(readFileSync(join(output, 'README.md'), 'utf8'), /\| calibration \| no text \|/);
});
