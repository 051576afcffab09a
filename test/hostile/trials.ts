/** One damaged file of a kind, made from its seed, and what is done with it. */
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import type * as Library from '../../lib';
import { sealed } from '../../lib/pruning/journal/sealed';
import type * as Tokenizers from '../../lib/tokenizer';
import { DATA, type Graphs, slicedByThirds } from './graphs';
import { mutateBytes } from './mutate-bytes';
import { mutateJson } from './mutate-json';
import { Random } from './random';
import { CONFIG, INDEX, runOptions, type Specimens, WEIGHTS } from './specimens';
import { tokenizerRequest } from './tokenizers';

export const KINDS = [
  'safetensors',
  'index',
  'config',
  'families',
  'gguf',
  'tokenizer',
  'journal',
  'survey',
  'onnx',
] as const;
export type Kind = (typeof KINDS)[number];

/** Trials of some kinds take longer and come up less often. */
const SHARES: Record<Kind, number> = {
  safetensors: 3,
  index: 2,
  config: 3,
  families: 3,
  gguf: 3,
  tokenizer: 3,
  journal: 1,
  survey: 1,
  onnx: 3,
};

/** The trial of a seed among those of some kinds. */
export function trialOf(seed: number, kinds: readonly Kind[]): Trial {
  const turns = kinds.flatMap((kind) => Array<Kind>(SHARES[kind]).fill(kind));
  return { kind: turns[seed % turns.length]!, seed };
}

export interface Trial {
  kind: Kind;
  seed: number;
}

/** What was changed in which file, how large that is, and the calls that must end in a result or an error with a code. */
export interface Damaged {
  what: string;
  bytes: number;
  /** The damaged file. */
  file: string;
  use(library: typeof Library, tokenizers: typeof Tokenizers, graphs: Graphs): Promise<unknown>;
}

const GGUF_FRONT = 16_384;
const HASH_BYTES = 32;
const FIRST_IDS = Array.from({ length: 300 }, (_, id) => id);

/** @param own an empty folder */
export function damaged({ kind, seed }: Trial, specimens: Specimens, own: string): Damaged {
  return MAKERS[kind](new Random(seed), specimens, own, seed);
}

type Maker = (random: Random, specimens: Specimens, own: string, seed: number) => Damaged;

const MAKERS: Record<Kind, Maker> = {
  safetensors: (random, { folder, text }, own) => {
    const model = linked(folder, own, WEIGHTS);
    const { what, bytes } = mutatedSafetensors(readFileSync(join(folder, WEIGHTS)), random);
    return evaluated(what, text, model, WEIGHTS, bytes);
  },
  index: jsonMaker(INDEX),
  config: jsonMaker('config.json'),
  families: (random, { families, text }, own, seed) => {
    const folder = random.pick(families);
    const model = linked(folder, own, 'config.json');
    const { what, bytes } = mutatedJson(readFileSync(join(folder, 'config.json')), random);
    const read = evaluated(`${basename(folder)} ${what}`, text, model, 'config.json', bytes);
    if (seed % 2 === 0) return read;
    return { ...read, use: ({ exportModel }) => exportModel(model, { output: join(own, 'out') }) };
  },
  gguf: (random, { gguf, text }, own) => {
    const bytes = mutateBytes(readFileSync(gguf), GGUF_FRONT, random);
    return evaluated('bytes', text, own, 'model.gguf', bytes, join(own, 'model.gguf'));
  },
  tokenizer: (random, _, own, seed) => {
    const { what, json, texts } = tokenizerRequest(seed);
    const config = structuredClone(CONFIG);
    const changed = random.chance(0.3) ? mutateJson(config, random) : 'sound';
    writeFileSync(join(own, 'tokenizer.json'), json);
    writeFileSync(join(own, 'tokenizer_config.json'), JSON.stringify(config));
    const path = join(own, 'text.txt');
    writeFileSync(path, `The ${texts.join('\n')}`);
    return {
      what: `${what}; tokenizer_config.json ${changed}`,
      bytes: json.length,
      file: join(own, 'tokenizer.json'),
      use(_, { inThread, tokenize }) {
        const source = { kind: 'folder', folder: own } as const;
        if (seed % 3 === 0) return inThread('texts', { source, ids: [FIRST_IDS] });
        if (seed % 3 === 1) return inThread('metadata', { source, vocab: 1024 });
        return tokenize(source, path);
      },
    };
  },
  journal: (random, { folder, journal }, own) => {
    const output = join(own, 'out');
    const copy = `${output}.struprune-journal`;
    cpSync(journal, copy, { recursive: true });
    const name = random.pick(
      readdirSync(copy).filter((file) => statSync(join(copy, file)).isFile()),
    );
    const file = join(copy, name);
    const bytes = statSync(file).size;
    const what = mutateFile(file, random);
    return {
      what: `${name} ${what}`,
      bytes,
      file,
      use: ({ prune }) => prune(folder, { ...runOptions(output), resume: true }),
    };
  },
  survey: (random, { folder, survey }, own) => {
    const { what, bytes } = mutatedArrays(readFileSync(survey), random);
    const file = join(own, 'survey.safetensors');
    writeFileSync(file, bytes);
    const options = { ...runOptions(join(own, 'out')), fromCalibration: file };
    return { what, bytes: bytes.length, file, use: ({ prune }) => prune(folder, options) };
  },
  onnx: (random, { graphs }, own) => {
    const folder = random.pick(graphs);
    const names = readdirSync(folder);
    for (const name of names) copyFileSync(join(folder, name), join(own, name));
    const file = join(own, names.length > 1 && random.chance(0.1) ? DATA : 'model.onnx');
    let bytes: Buffer = readFileSync(file);
    for (let times = 1 + random.below(3); times > 0 && bytes.length > 8; times--)
      bytes = mutateBytes(bytes, bytes.length, random);
    writeFileSync(file, bytes);
    return {
      ...{ what: `${basename(folder)} ${basename(file)}`, bytes: bytes.length, file },
      use: (_, __, parts) => slicedByThirds(parts, join(own, 'model.onnx'), join(own, 'out.onnx')),
    };
  },
};

/** The model's folder without one of its files; weights alone may be links (SECURITY.md). */
function linked(folder: string, own: string, without: string): string {
  const model = join(own, 'model');
  mkdirSync(model);
  for (const name of readdirSync(folder)) {
    if (name === without) continue;
    const [from, to] = [join(folder, name), join(model, name)];
    if (name.endsWith('.safetensors')) symlinkSync(from, to);
    else copyFileSync(from, to);
  }
  return model;
}

function evaluated(
  what: string,
  text: string,
  folder: string,
  name: string,
  bytes: Buffer,
  model = folder,
): Damaged {
  const file = join(folder, name);
  writeFileSync(file, bytes);
  return {
    what,
    bytes: bytes.length,
    file,
    use: ({ evaluate }) => evaluate(model, { text, window: 16, maxTokens: 32, threads: 1 }),
  };
}

function jsonMaker(name: string): Maker {
  return (random, { folder, text }, own) => {
    const model = linked(folder, own, name);
    const { what, bytes } = mutatedJson(readFileSync(join(folder, name)), random);
    return evaluated(what, text, model, name, bytes);
  };
}

function mutatedJson(bytes: Buffer, random: Random): { what: string; bytes: Buffer } {
  if (random.chance(0.15))
    return { what: 'bytes', bytes: mutateBytes(bytes, bytes.length, random) };
  const json = JSON.parse(bytes.toString());
  const what = mutateJson(json, random);
  return { what, bytes: Buffer.from(JSON.stringify(json)) };
}

/** Its header as JSON, or its bytes. */
function mutatedSafetensors(bytes: Buffer, random: Random): { what: string; bytes: Buffer } {
  const end = 8 + Number(bytes.readBigUInt64LE());
  if (random.chance(0.4)) return { what: 'bytes', bytes: mutateBytes(bytes, end, random) };
  const header = JSON.parse(bytes.subarray(8, end).toString());
  const what = mutateJson(header, random);
  const text = Buffer.from(JSON.stringify(header));
  const padded = Buffer.concat([text, Buffer.alloc(-text.length & 7, ' ')]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  return { what, bytes: Buffer.concat([length, padded, bytes.subarray(end)]) };
}

/** Half of them with the hash that such bytes have (lib/checkpoint/arrays-file.ts). */
function mutatedArrays(bytes: Buffer, random: Random): { what: string; bytes: Buffer } {
  const mutated = mutatedSafetensors(bytes, random);
  if (random.chance(0.5)) return mutated;
  const { what, bytes: changed } = mutated;
  const content = changed.subarray(0, Math.max(0, changed.length - HASH_BYTES));
  const hash = createHash('sha256').update(content).digest();
  return { what: `${what}, hashed again`, bytes: Buffer.concat([content, hash]) };
}

/** Half of them with the hash that such a record has (lib/pruning/journal/sealed.ts). */
function mutatedRecord(bytes: Buffer, random: Random): { what: string; bytes: Buffer } {
  if (random.chance(0.5)) return mutatedJson(bytes, random);
  const { value } = JSON.parse(bytes.toString());
  const what = mutateJson(value, random);
  return { what: `${what}, hashed again`, bytes: Buffer.from(sealed(value)) };
}

function mutateFile(path: string, random: Random): string {
  if (random.chance(0.05)) {
    rmSync(path);
    return 'gone';
  }
  const bytes = readFileSync(path);
  const mutated = path.endsWith('.json')
    ? mutatedRecord(bytes, random)
    : path.endsWith('.safetensors')
      ? mutatedArrays(bytes, random)
      : { what: 'bytes', bytes: mutateBytes(bytes, bytes.length, random) };
  writeFileSync(path, mutated.bytes);
  return mutated.what;
}
