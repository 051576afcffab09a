/** Temporary copies of the small fixture models, which have no tokenizer, with one that suits a test. */
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const MODELS = join(__dirname, '../fixtures/models');
export const CALIBRATION = join(__dirname, '../../assets/text/calibration.txt');
export const EVALUATION = join(__dirname, '../../assets/text/evaluation.txt');
/** CALIBRATION as `model`'s tokenizer has it, without the thread of a tokenizer, which takes a quarter of a second to start. */
export const CALIBRATION_IDS = Int32Array.from(readFileSync(CALIBRATION));

export interface Workspace {
  /** A new path in the work folder. */
  path(name: string): string;
  /** A copy of a fixture model, called `as`, with a byte-level tokenizer: ASCII text gives its own bytes as ids. */
  model(name: string, as?: string): string;
  /** The same with one token a symbol, so that every list of ids is some text (`textOf`). */
  symbolModel(name: string): string;
  /** A text file that a model of `symbolModel` encodes to these ids. */
  textOf(ids: readonly number[]): string;
  /** What lies in a new folder of the work folder; to see that a failed run left nothing. */
  emptyFolder(): string;
  remove(): void;
}

export function workspace(): Workspace {
  const root = mkdtempSync(join(tmpdir(), 'struprune-e2e-'));
  let count = 0;
  const path = (name: string) => join(root, `${count++}-${name}`);
  const emptyFolder = () => {
    const folder = path('folder');
    mkdirSync(folder);
    return folder;
  };
  return {
    path,
    emptyFolder,
    model: (name, as = name) => copyWith(name, path(as), BYTE_TOKENIZER),
    symbolModel: (name) => copyWith(name, path(name), SYMBOL_TOKENIZER),
    textOf(ids) {
      const file = path('ids.txt');
      writeFileSync(file, ids.map(symbol).join(''));
      return file;
    },
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
}

function copyWith(name: string, folder: string, tokenizer: object): string {
  const source = join(MODELS, name);
  mkdirSync(folder);
  for (const file of readdirSync(source)) {
    if (/\.(safetensors|index\.json)$|config\.json$/.test(file)) {
      copyFileSync(join(source, file), join(folder, file));
    }
  }
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer));
  writeFileSync(join(folder, 'tokenizer_config.json'), '{}');
  return folder;
}

/** A letter without case, composition or meaning for any pre-tokenizer. */
function symbol(id: number): string {
  return String.fromCodePoint(0x4e00 + id);
}

/** GPT-2's printable stand-in of a byte: itself where it is printable, else the next free letter from 256. */
function byteSymbols(): string[] {
  const printable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xff && byte !== 0xad);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) =>
    String.fromCodePoint(printable(byte) ? byte : next++),
  );
}

function bpe(symbols: string[], parts: object): object {
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: null,
    model: { type: 'BPE', vocab: Object.fromEntries(symbols.map((s, id) => [s, id])), merges: [] },
    ...parts,
  };
}

const byteLevel = {
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: true,
};
const BYTE_TOKENIZER = bpe(byteSymbols(), { pre_tokenizer: byteLevel, decoder: byteLevel });
const SYMBOL_TOKENIZER = bpe(
  Array.from({ length: 256 }, (_, id) => symbol(id)),
  {},
);
