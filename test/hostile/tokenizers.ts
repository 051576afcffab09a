/** Variants of tokenizers that are all right, of damaged ones, and texts to compare them by. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LETTER_RUN_PATTERNS, LETTERLESS_PATTERNS } from '../../lib/tokenizer/patterns';
import { mutateJson } from './mutate-json';
import { Random } from './random';

const FIXTURES = join(__dirname, '..', 'tokenizer', 'fixtures');
/** Folders of well-formed tokenizers that variants are made from. */
export const BASES = ['smollm', 'llama2', 'llama2-metaspace', 'qwen2', 'gpt2-prefix'] as const;

interface Json {
  [key: string]: unknown;
  added_tokens: Record<string, unknown>[];
  model: Record<string, unknown> & { vocab: Record<string, number>; merges: [string, string][] };
}

export const readBase = (name: string): Json =>
  JSON.parse(readFileSync(join(FIXTURES, name, 'tokenizer.json'), 'utf8'));

export interface TokenizerVariant {
  /** What was done to which tokenizer. */
  what: string;
  json: unknown;
}

export interface TokenizerRequest {
  what: string;
  /** Of a tokenizer.json. */
  json: string;
  texts: string[];
}

/** Of every two seeds about one gives a damaged tokenizer. */
export function tokenizerRequest(seed: number): TokenizerRequest {
  const random = new Random(seed);
  const { what, json } = tokenizerVariant(random, random.chance(0.5));
  return { what, json: JSON.stringify(json), texts: tokenizerTexts(random) };
}

/** A tokenizer whose parts are drawn anew; with `damage` one thing of it is changed besides. */
export function tokenizerVariant(random: Random, damage: boolean): TokenizerVariant {
  const base = random.pick(BASES);
  const json = readBase(base);
  const redrawn: string[] = [];
  const redraw = (name: string, draw: () => void) => {
    if (random.chance(0.6)) return;
    draw();
    redrawn.push(name);
  };
  redraw('normalizer', () => {
    json.normalizer = sequence('normalizers', random, () => normalizer(random));
  });
  redraw('pre_tokenizer', () => {
    json.pre_tokenizer = sequence('pretokenizers', random, () => preTokenizer(random));
  });
  redraw('decoder', () => {
    json.decoder = sequence('decoders', random, () => decoder(random));
  });
  redraw('model', () => redrawModel(json, random));
  redraw('added_tokens', () => addTokens(json, random));
  if (damage) redrawn.push(mutateJson(json, random));
  return { what: [base, ...redrawn].join(', '), json };
}

function sequence(list: string, random: Random, make: () => unknown): unknown {
  const steps = random.some(3, make);
  if (steps.length === 1) return steps[0];
  return steps.length === 0 ? null : { type: 'Sequence', [list]: steps };
}

const PIECES = ['e', ' ', 'ri', '\u2581', 'a', '\n', '1', '$', '.', 'é', '\u0301'];
const CONTENTS = ['', 'e', '$&', '$1', 'ee', '\u2581', ' ', '$$'];
const REGEXES = [
  ...LETTER_RUN_PATTERNS,
  ...LETTERLESS_PATTERNS,
  String.raw`\s+`,
  String.raw`\s+$`,
  '^a',
  'e|$',
  '[a-e]+',
  String.raw`[^\s\p{P}]+`,
  '.',
  '.+',
  String.raw`\d{2}`,
  '(a+)+b',
  String.raw`\s?\p{Han}+|\p{Lu}`,
  'a*',
  '(?=r)r.',
  '[r-t]e??',
  String.raw`\w+`,
  '(?i:the)',
  '[\'"]s?(?!x)',
];

const pattern = (random: Random) =>
  random.chance(0.5) ? { String: random.pick(PIECES) } : { Regex: random.pick(REGEXES) };

function normalizer(random: Random): unknown {
  const type = random.pick(['NFC', 'NFC', 'NFKC', 'Prepend', 'Replace', 'Replace']);
  if (type === 'Prepend') return { type, prepend: random.pick(CONTENTS) };
  if (type === 'Replace') return { type, pattern: pattern(random), content: random.pick(CONTENTS) };
  return { type };
}

function preTokenizer(random: Random): unknown {
  const flag = () => random.chance(0.5);
  const type = random.pick(['ByteLevel', 'Digits', 'Split', 'Split', 'Metaspace']);
  switch (type) {
    case 'ByteLevel':
      return { type, add_prefix_space: flag(), trim_offsets: flag(), use_regex: flag() };
    case 'Digits':
      return { type, individual_digits: flag() };
    case 'Split':
      return {
        type,
        pattern: pattern(random),
        behavior: random.pick([
          'Removed',
          'Isolated',
          'MergedWithPrevious',
          'MergedWithNext',
          'Contiguous',
        ]),
        invert: flag(),
      };
    default:
      return {
        type,
        replacement: random.pick(['\u2581', '_']),
        prepend_scheme: random.pick(['always', 'first', 'never']),
        split: flag(),
      };
  }
}

function decoder(random: Random): unknown {
  const type = random.pick(['ByteLevel', 'ByteFallback', 'Fuse', 'Strip', 'Replace', 'Metaspace']);
  switch (type) {
    case 'ByteLevel':
      return { type, add_prefix_space: true, trim_offsets: true, use_regex: true };
    case 'Strip':
      return { type, content: random.pick([' ', '\u2581', 'e']), start: random.below(3), stop: 0 };
    case 'Replace':
      return { type, pattern: pattern(random), content: random.pick(CONTENTS) };
    case 'Metaspace':
      return {
        type,
        replacement: '\u2581',
        prepend_scheme: random.pick(['always', 'never']),
        split: true,
      };
    default:
      return { type };
  }
}

function redrawModel(json: Json, random: Random): void {
  const { model } = json;
  const tokens = Object.keys(model.vocab);
  model.fuse_unk = random.chance(0.5);
  model.byte_fallback = random.chance(0.5);
  model.ignore_merges = random.chance(0.5);
  model.unk_token = random.chance(0.5) ? random.pick(tokens) : null;
  if (random.chance(0.3)) model.merges.reverse();
  if (random.chance(0.3)) model.merges.push(random.pick(model.merges));
  if (random.chance(0.3)) {
    // A vocabulary without one of its characters.
    const merged = new Set(model.merges.flatMap(([left, right]) => [left, right, left + right]));
    const spare = tokens.filter((token) => !merged.has(token));
    if (spare.length > 0) delete model.vocab[random.pick(spare)];
    // Ids of others are counted on from the vocabulary's.
    json.added_tokens = json.added_tokens.filter(
      ({ content, id }) => model.vocab[content as string] === id,
    );
  }
}

const ADDED = [
  '<x>',
  '<x>y',
  'river',
  'e',
  ' ',
  '  ',
  'The',
  '\u2581r',
  'ﬁ',
  'é',
  'E\u0301',
  '\n',
  '12',
  'constructor',
];

function addTokens({ added_tokens: added, model }: Json, random: Random): void {
  const flag = () => random.chance(0.3);
  const size = Object.keys(model.vocab).length;
  for (const content of random.some(4, () => random.pick(ADDED))) {
    if (added.some((token) => token.content === content)) continue;
    const next = Math.max(size, ...added.map(({ id }) => (id as number) + 1));
    const id = Object.hasOwn(model.vocab, content) ? model.vocab[content] : next;
    const flags = { single_word: flag(), lstrip: flag(), rstrip: flag() };
    added.push({ id, content, ...flags, normalized: random.chance(0.5), special: flag() });
  }
}

const FRAGMENTS = [
  'The river rises in the hills.',
  "it's they've WE'LL I'M 'tis it'\u017f 'K\u212a",
  ' 1234567 12,345.67 x2y3 ',
  '\u00b2\u00b3 \u00bd \u0663\u0664\u0665 \u2167 \u3007 \u0967',
  'a\u00a0b\u2003c\u3000d\u0085e\ufefff\u200bg\u2028h',
  '\u00e9 e\u0301 \uac00\u1100\u1161 \u212b \ufb01 \u2460 E\u0301',
  'Für die Mühle 川は海へ Река',
  '\u{1f600}\u{1f468}\u200d\u{1f469} \u{1d49c}',
  '...!!! (a) --- $5 $& %x ^a a$ \u2014',
  '<s> </s>in <unk><|end|> <extra> <x>y<x> x<pad>',
  '  \n\n \t\r\n',
  'aaaaaaaaaaaaaaaab',
  ' \u2581 \u2581r_ _x <0x41>',
  'e',
  'The',
  ' ',
  'constructor',
];

/** Texts that differ from seed to seed; the empty one is among them. */
function tokenizerTexts(random: Random): string[] {
  const text = () => random.some(4, () => random.pick(FRAGMENTS)).join('');
  return ['', random.pick(FRAGMENTS), text(), text(), text(), odd(random)];
}

/** Characters from all of Unicode that these versions of it all know. */
function odd(random: Random): string {
  const ranges = [
    [0x20, 0x7e],
    [0xa0, 0x24f],
    [0x300, 0x36f],
    [0x400, 0x52f],
    [0x900, 0x97f],
    [0x2000, 0x206f],
    [0x3040, 0x30ff],
    [0xac00, 0xad00],
    [0x1f600, 0x1f64f],
  ] as const;
  return Array.from({ length: 24 }, () => {
    const [from, to] = random.pick(ranges);
    return String.fromCodePoint(from + random.below(to - from + 1));
  }).join('');
}
