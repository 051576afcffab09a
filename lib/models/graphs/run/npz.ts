/**
 * Arrays of a `.npz` file, numpy's zip archive of `.npy` files: where each lies (APPNOTE.TXT, sections 4.3 and 4.5.3;
 * numpy.lib.format). Those that `np.savez` stores are there as they are.
 */
import type { ContainerTensor } from '../../../checkpoint/container';
import { StruPruneError } from '../../../errors';
import { elements } from '../../../model/axes';
import { FileSource } from '../onnx/source';

/** Records of the archive: what each begins with, and its bytes before what varies. */
const END = { signature: 0x06054b50, bytes: 22, longestComment: 0xffff };
const END64 = { signature: 0x06064b50, bytes: 56 };
const LOCATOR64 = { signature: 0x07064b50, bytes: 20 };
const ENTRY = { signature: 0x02014b50, bytes: 46 };
const LOCAL = { signature: 0x04034b50, bytes: 30 };
/** Stands for a number that a field of 64 bits has. */
const IN_64_BITS = 0xffffffff;
const EXTRA_64_BITS = 1;
/** No list of arrays is as long. */
const MOST_ENTRIES_BYTES = 2 ** 24;

const MAGIC = '\x93NUMPY';
/** By numpy's description of a type: as safetensors has it, and bytes of an element. */
const TYPES: Readonly<Record<string, [dtype: string, bytes: number]>> = {
  '<f4': ['F32', 4],
  '<f8': ['F64', 8],
  '<f2': ['F16', 2],
  '<i8': ['I64', 8],
  '<i4': ['I32', 4],
  '|i1': ['I8', 1],
  '|u1': ['U8', 1],
  '|b1': ['BOOL', 1],
};

/** @throws StruPruneError ERR_NOT_FOUND; ERR_CHECKPOINT for what is no such archive; ERR_UNSUPPORTED for compressed arrays and other types */
export function parseNpz(path: string): ContainerTensor[] {
  const file = new FileSource(path);
  try {
    return entriesOf(file).map((entry) => arrayOf(file, entry));
  } finally {
    file.close();
  }
}

interface Entry {
  name: string;
  method: number;
  bytes: number;
  local: number;
}

function entriesOf(file: FileSource): Entry[] {
  const { start, bytes } = directoryOf(file);
  const directory = at(file, start, bytes);
  const entries: Entry[] = [];
  for (let from = 0; from < directory.length; ) {
    if (directory.length - from < ENTRY.bytes) throw damaged(file);
    if (directory.readUInt32LE(from) !== ENTRY.signature) throw damaged(file);
    const [name, extra, comment] = [28, 30, 32].map((field) =>
      directory.readUInt16LE(from + field),
    );
    const nameAt = from + ENTRY.bytes;
    const end = nameAt + name! + extra! + comment!;
    if (end > directory.length) throw damaged(file);
    const wide = wideFields(directory.subarray(nameAt + name!, nameAt + name! + extra!));
    // In this order, where they do not fit: bytes, bytes as stored, the local record.
    const [bytes, stored, local] = [24, 20, 42].map((field) => {
      const value = directory.readUInt32LE(from + field);
      return value === IN_64_BITS ? (wide.shift() ?? value) : value;
    });
    const method = directory.readUInt16LE(from + 10);
    if (method === 0 && bytes !== stored) throw damaged(file);
    const text = directory.toString('utf8', nameAt, nameAt + name!);
    entries.push({ name: text, method, bytes: bytes!, local: local! });
    from = end;
  }
  return entries;
}

/** Where the list of entries lies. */
function directoryOf(file: FileSource): { start: number; bytes: number } {
  const from = Math.max(0, file.length - END.bytes - END.longestComment);
  const last = at(file, from, file.length - from);
  for (let i = last.length - END.bytes; i >= 0; i--) {
    if (last.readUInt32LE(i) !== END.signature) continue;
    const [bytes, start] = [last.readUInt32LE(i + 12), last.readUInt32LE(i + 16)];
    const wide = bytes === IN_64_BITS || start === IN_64_BITS;
    return wide ? wideDirectoryOf(file, from + i) : { start, bytes };
  }
  throw damaged(file);
}

function wideDirectoryOf(file: FileSource, end: number) {
  const locator = at(file, end - LOCATOR64.bytes, LOCATOR64.bytes);
  if (locator.readUInt32LE(0) !== LOCATOR64.signature) throw damaged(file);
  const record = at(file, Number(locator.readBigUInt64LE(8)), END64.bytes);
  if (record.readUInt32LE(0) !== END64.signature) throw damaged(file);
  return {
    start: Number(record.readBigUInt64LE(48)),
    bytes: Number(record.readBigUInt64LE(40)),
  };
}

function wideFields(extra: Buffer): number[] {
  for (let from = 0; from + 4 <= extra.length; ) {
    const [id, length] = [extra.readUInt16LE(from), extra.readUInt16LE(from + 2)];
    const field = extra.subarray(from + 4, from + 4 + length);
    if (id === EXTRA_64_BITS) {
      return Array.from({ length: field.length >> 3 }, (_, i) =>
        Number(field.readBigUInt64LE(8 * i)),
      );
    }
    from += 4 + length;
  }
  return [];
}

function arrayOf(file: FileSource, { name, method, bytes, local }: Entry): ContainerTensor {
  if (method !== 0) {
    throw new StruPruneError(
      'ERR_UNSUPPORTED',
      `${file.path} holds ${cited(name)} compressed`,
      'save it with np.savez, which does not compress',
    );
  }
  const header = at(file, local, LOCAL.bytes);
  if (header.readUInt32LE(0) !== LOCAL.signature) throw damaged(file);
  const start = local + LOCAL.bytes + header.readUInt16LE(26) + header.readUInt16LE(28);
  const [intro, text] = npyHeader(file, start, bytes);
  const found =
    /^\{'descr': '([^']*)', 'fortran_order': (True|False), 'shape': \(([\d, ]*)\), \}\s*$/;
  const [, descr, fortran, axes] = found.exec(text) ?? [];
  const type = TYPES[descr ?? ''];
  if (!type || fortran !== 'False') {
    throw new StruPruneError(
      'ERR_UNSUPPORTED',
      `${cited(name)} in ${file.path} is no plain array of numbers: ${cited(text.trim())}`,
      'save it with np.ascontiguousarray, in a little-endian type',
    );
  }
  const shape = axes!
    .split(',')
    .map((axis) => axis.trim())
    .filter(Boolean)
    .map(Number);
  const [dtype, each] = type;
  const size = elements(shape) * each;
  if (size !== bytes - intro) throw damaged(file);
  return { name: name.replace(/\.npy$/, ''), dtype, shape, offset: start + intro, bytes: size };
}

/** Bytes before the array's own, and the dictionary among them. */
function npyHeader(file: FileSource, start: number, bytes: number): [number, string] {
  const magic = at(file, start, Math.min(12, bytes));
  if (magic.length < 12 || magic.toString('latin1', 0, 6) !== MAGIC) throw damaged(file);
  const isFirst = magic[6] === 1;
  const before = isFirst ? 10 : 12;
  const length = isFirst ? magic.readUInt16LE(8) : magic.readUInt32LE(8);
  if (before + length > bytes || length > 0xffff) throw damaged(file);
  return [before + length, at(file, start + before, length).toString('latin1')];
}

function at(file: FileSource, offset: number, length: number): Buffer {
  const isInside = offset >= 0 && length >= 0 && offset + length <= file.length;
  if (!isInside || length > MOST_ENTRIES_BYTES) throw damaged(file);
  return Buffer.from(file.read(offset, length).buffer);
}

function cited(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}

function damaged({ path }: FileSource): StruPruneError {
  return new StruPruneError('ERR_CHECKPOINT', `${path} is no whole .npz file`, 'save it again');
}
