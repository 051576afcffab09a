/** What needs a whole tokenizer, and therefore runs in a thread of its own (thread.ts). */
import { type GgufEntry, parseGguf } from '../checkpoint/container';
import { GgufBytes } from '../checkpoint/gguf-bytes';
import { StruPruneError } from '../errors';
import { chatRenderer, type Message } from './chat';
import { framedWindows } from './framed';
import { tokenizerFromGguf } from './from-gguf';
import { joined, readQuestions } from './questions';
import { isRecords, readRecords, recordsOf } from './records';
import { readText } from './text';
import { ggufMetadataFromTokenizer } from './to-gguf';
import {
  loadTokenizer,
  readTokenizerFiles,
  type Tokenizer,
  type TokenizerSource,
} from './tokenizer';

export interface OutputFile {
  name: string;
  text: Uint8Array<ArrayBuffer>;
}

/** A question as a model reads it. */
export interface AskedQuestion {
  /** Index of the right continuation; null: the model has to write the only one by itself. */
  answer: number | null;
  continuations: Continuation[];
}

export interface Continuation {
  /** Of the prompt and what follows it. */
  ids: number[];
  /** Where what follows begins. */
  from: number;
  /** Unicode characters of what follows. */
  characters: number;
}

/** By name: what goes in, beside the tokenizer, and what comes out. */
export interface Jobs {
  /**
   * Ids of a text file, of the records of a JSONL file, or of texts as such a file would have them, tokenised whole and without BOS: the first `maxTokens` of them. `longest`: characters that may be
   * handed to the tokenizer in one piece.
   */
  ids: {
    in: { text: string | string[]; maxTokens?: number; longest?: number };
    out: Int32Array;
  };
  /** Windows of such a text as an encoder reads them, at most so many: `[windows · window]` (framed.ts). */
  windows: { in: { path: string; window: number; most: number }; out: Int32Array };
  /** Questions of a JSONL file, each with the ids of its prompt and of every continuation behind it. */
  questions: { in: { path: string }; out: AskedQuestion[] };
  /** What a model goes on from, a text or a conversation, and the tokens that end what it writes. */
  prompt: { in: { prompt: string | Message[] }; out: { ids: number[]; end: number[] } };
  /** The texts of lists of ids. */
  texts: { in: { ids: number[][] }; out: string[] };
  /** The files of a Hugging Face folder. */
  files: { in: object; out: OutputFile[] };
  /** Metadata of a GGUF file; long arrays come encoded. */
  metadata: { in: { vocab: number }; out: Record<string, GgufEntry> };
}

export type JobName = keyof Jobs;
export type JobInput<Name extends JobName> = Jobs[Name]['in'] & { source: TokenizerSource };

type Runners = { [Name in JobName]: (job: JobInput<Name>) => Jobs[Name]['out'] };

/** @throws whatever reading the text and loading the tokenizer may throw */
export const RUNNERS: Runners = {
  ids: idsOf,
  windows: windowsOf,
  questions: questionsOf,
  prompt: promptOf,
  texts: textsOf,
  files: filesOf,
  metadata: metadataOf,
};

function idsOf({ source, text, maxTokens, longest }: JobInput<'ids'>): Int32Array {
  const idsFrom = (parts: Iterable<string>) =>
    loadTokenizer(source).encodeParts(parts, maxTokens, longest);
  return typeof text === 'string' ? withText(source, text, idsFrom) : idsFrom(recordsOf(text));
}

function windowsOf({ source, path, window, most }: JobInput<'windows'>): Int32Array {
  if (source.kind !== 'folder') throw new TypeError('an encoder has a folder');
  const { folder } = source;
  return withText(source, path, (parts) => framedWindows({ parts, folder, window, most }));
}

/** Lends the text of a file, or of the records of a JSONL file. @throws StruPruneError ERR_TEXT where it is empty */
function withText<T>(
  source: TokenizerSource,
  path: string,
  use: (parts: Iterable<string>) => T,
): T {
  const text = isRecords(path)
    ? readRecords(path, () => chatRenderer(readTokenizerFiles(source)))
    : readText(path);
  try {
    const first = text.next();
    if (first.done) {
      throw new StruPruneError('ERR_TEXT', `${path} is empty`, 'give a file with text');
    }
    return use(prepend(first.value, text));
  } finally {
    text.return();
  }
}

function* prepend(first: string, rest: Iterable<string>): Generator<string, void> {
  yield first;
  yield* rest;
}

function questionsOf({ source, path }: JobInput<'questions'>): AskedQuestion[] {
  const questions = readQuestions(path);
  const tokenizer = loadTokenizer(source);
  return questions.map(({ prompt, continuations, answer }) => {
    // Spaces at the end of a prompt are of what follows, so that words are cut as in running text: as lm-eval has it.
    const from = prefixed(tokenizer, prompt.trimEnd()).length;
    const asked = continuations.map((text) => ({
      ids: prefixed(tokenizer, joined(prompt, text)),
      from,
      characters: [...text].length,
    }));
    return { answer, continuations: asked };
  });
}

/** With what transformers puts first, once. */
function prefixed({ encode, prefixId }: Tokenizer, text: string): number[] {
  const ids = encode(text);
  return prefixId === null || ids[0] === prefixId ? [...ids] : [prefixId, ...ids];
}

function promptOf({ source, prompt }: JobInput<'prompt'>): Jobs['prompt']['out'] {
  const files = readTokenizerFiles(source);
  const tokenizer = loadTokenizer({ kind: 'files', files });
  const { eosTokenId } = tokenizer;
  const ids =
    typeof prompt === 'string'
      ? prefixed(tokenizer, prompt)
      : [...tokenizer.encode(chatRenderer(files, { answer: true })(prompt))];
  return { ids, end: eosTokenId === null ? [] : [eosTokenId] };
}

function textsOf({ source, ids }: JobInput<'texts'>): string[] {
  const tokenizer = loadTokenizer(source);
  return ids.map((list) => tokenizer.decode(list));
}

function filesOf({ source }: JobInput<'files'>): OutputFile[] {
  const { tokenizerJson, tokenizerConfig, specialTokensMap } = readTokenizerFiles(source);
  const json = (name: string, value: unknown) => ({
    name,
    text: new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`),
  });
  return [
    json('tokenizer.json', tokenizerJson),
    json('tokenizer_config.json', tokenizerConfig),
    json('special_tokens_map.json', specialTokensMap),
  ];
}

function metadataOf({ source, vocab }: JobInput<'metadata'>): Record<string, GgufEntry> {
  // What else a GGUF file says of its tokenizer, such as tokens that end a turn, is kept.
  const stated = source.kind === 'gguf' ? parseGguf(source.file).metadata : null;
  const { tokenizerJson, tokenizerConfig } = stated
    ? tokenizerFromGguf(stated)
    : readTokenizerFiles(source);
  const made = ggufMetadataFromTokenizer(tokenizerJson, tokenizerConfig, vocab);
  const kept = Object.entries(stated ?? {}).filter(
    ([key]) => key.startsWith('tokenizer.') && !(key in made),
  );
  const entries = { ...made, ...Object.fromEntries(kept) };
  return Object.fromEntries(
    Object.entries(entries).map(([key, entry]): [string, GgufEntry] => {
      if (!Array.isArray(entry.value)) return [key, entry];
      const bytes = new GgufBytes();
      bytes.value(entry.type, entry.value);
      return [key, { type: entry.type, value: new Uint8Array(bytes.bytes()) }];
    }),
  );
}
