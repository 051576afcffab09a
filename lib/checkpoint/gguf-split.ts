/** llama.cpp writes large models in parts, `NAME-00001-of-00003.gguf`, of which the first has the model's own metadata. */
import { existsSync } from 'node:fs';

import { StruPruneError } from '../errors';
import type { StoredTensor } from '../model/architecture';
import { type GgufHeader, parseGguf } from './container';

const PART = /-(\d{5})-of-(\d{5})\.gguf$/;

interface Split {
  /** Absolute paths, the first part first. */
  files: string[];
  tensors: StoredTensor[];
}

/**
 * All parts of a file, which is one part where it is not split.
 * @param file absolute path of the first part
 * @throws StruPruneError ERR_UNSUPPORTED for another part; ERR_CHECKPOINT for parts that are missing or not of one model
 */
export function readSplit(file: string, first: GgufHeader): Split {
  const count = numberOf(first, 'split.count') ?? 1;
  if (!(count > 1)) {
    return { files: [file], tensors: first.tensors.map((tensor) => ({ ...tensor, file: 0 })) };
  }
  const files = namesOf(file, first, count);
  const seen = new Set<string>();
  const tensors = files.flatMap((path, part) => {
    const header = part === 0 ? first : parsePart(path, part, count);
    for (const { name } of header.tensors) {
      if (seen.has(name)) throw broken(`${path}: tensor ${name} stands in another part too`);
      seen.add(name);
    }
    return header.tensors.map((tensor) => ({ ...tensor, file: part }));
  });
  const promised = numberOf(first, 'split.tensors.count') ?? tensors.length;
  if (promised === tensors.length) return { files, tensors };
  throw broken(`${file}: its ${count} parts hold ${tensors.length} tensors of ${promised}`);
}

/**
 * The names of all parts of a file, by its own; the file alone where that is not a part's.
 * @throws StruPruneError ERR_UNSUPPORTED for another part than the first
 */
export function partsOf(file: string): string[] {
  const [suffix, own, of] = PART.exec(file) ?? [];
  if (suffix === undefined) return [file];
  const stem = file.slice(0, -suffix.length);
  const names = Array.from({ length: Number(of) }, (_, part) => nameOf(stem, part, Number(of)));
  if (Number(own) === 1) return names;
  throw notFirst(file, names);
}

function namesOf(file: string, first: GgufHeader, count: number): string[] {
  if (Number(PART.exec(file)?.[2]) !== count) {
    throw broken(
      `${file} is one of ${count} parts of a split GGUF file, but its name does not say which`,
      `name it as llama.cpp does, ${nameOf('NAME', 0, count)}`,
    );
  }
  const names = partsOf(file);
  if (numberOf(first, 'split.no') !== 0) throw notFirst(file, names);
  return names;
}

function nameOf(stem: string, part: number, count: number): string {
  return `${stem}-${digits(part + 1)}-of-${digits(count)}.gguf`;
}

function notFirst(file: string, names: readonly string[]): StruPruneError {
  const found = `${file} is one of ${names.length} parts of a split GGUF file, and not the first`;
  return new StruPruneError('ERR_UNSUPPORTED', found, `give the first part, ${names[0]}`);
}

function parsePart(path: string, part: number, count: number): GgufHeader {
  if (!existsSync(path)) {
    throw broken(`part ${part + 1} of ${count} is missing: there is no ${path}`, 'fetch that part');
  }
  const header = parseGguf(path, 0);
  const [no, of] = [numberOf(header, 'split.no'), numberOf(header, 'split.count')];
  if (no === part && of === count) return header;
  const said = no === undefined ? 'no part of one' : `part ${no + 1} of ${of ?? '?'}`;
  throw broken(`${path} says that it is ${said}, not part ${part + 1} of ${count}`);
}

function numberOf({ metadata }: GgufHeader, key: string): number | undefined {
  const value = metadata[key]?.value;
  return value === undefined ? undefined : Number(value);
}

function digits(part: number): string {
  return String(part).padStart(5, '0');
}

function broken(message: string, mend = 'fetch its parts again'): StruPruneError {
  return new StruPruneError('ERR_CHECKPOINT', message, mend);
}
