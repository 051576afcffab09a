/** Text files as the tokenizer wants them: UTF-8, no byte order mark, LF line ends. */
import { isUtf8 } from 'node:buffer';
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { StruPruneError, scarcity } from '../errors';

const BLOCK_BYTES = 1 << 16;

/**
 * Yields the text block by block; only what is asked for is read and checked.
 * @throws StruPruneError ERR_NOT_FOUND; ERR_TEXT for what is no regular file, or with the byte offset of what is not UTF-8.
 */
export function* readText(path: string): Generator<string, void> {
  const file = openText(path);
  try {
    const block = Buffer.allocUnsafe(BLOCK_BYTES);
    let kept = 0; // bytes of a character that the last block cut, at the front of `block`
    let offset = 0; // of block[0] in the file
    let heldReturn = false; // a CR at the end of a block may be half of a CRLF
    for (;;) {
      const end = kept + readSync(file, block, kept, BLOCK_BYTES - kept, null);
      const last = end === kept;
      const whole = last ? end : end - partialCharacter(block.subarray(0, end));
      let text = decode(block.subarray(0, whole), path, offset);
      if (offset === 0 && text.startsWith('\ufeff')) text = text.slice(1);
      if (heldReturn) text = `\r${text}`;
      heldReturn = !last && text.endsWith('\r');
      if (heldReturn) text = text.slice(0, -1);
      if (text !== '') yield text.replace(/\r\n?/g, '\n');
      if (last) return;
      offset += whole;
      kept = end - whole;
      block.copyWithin(0, whole, end);
    }
  } finally {
    closeSync(file);
  }
}

/** Refuses what no text can be read from. @throws StruPruneError as readText, its bytes aside */
export function requireText(path: string): void {
  closeSync(openText(path));
}

function openText(path: string): number {
  if (/\.json$/i.test(path)) {
    throw new StruPruneError(
      'ERR_TEXT',
      `${path} is JSON, which is no prose`,
      'give its records as .jsonl, an object a line, or what is meant as prose under another name',
    );
  }
  let isFolder: boolean;
  try {
    // A pipe is not waited for: texts are read more than once.
    const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const found = fstatSync(file);
    if (found.isFile()) return file;
    closeSync(file);
    isFolder = found.isDirectory();
  } catch (cause) {
    const denied = (cause as NodeJS.ErrnoException).code === 'EACCES';
    const scarce = scarcity(cause);
    if (scarce) throw scarce;
    throw new StruPruneError(
      'ERR_NOT_FOUND',
      denied ? `this user may not read the text ${path}` : `cannot read the text ${path}`,
      denied ? 'change who may read it' : 'check the path',
      { cause },
    );
  }
  throw isFolder
    ? new StruPruneError('ERR_TEXT', `${path} is a folder`, 'give a text file')
    : new StruPruneError('ERR_TEXT', `${path} is a pipe or a device`, 'save the text as a file');
}

function decode(bytes: Uint8Array, path: string, offset: number): string {
  if (!isUtf8(bytes)) {
    throw new StruPruneError(
      'ERR_TEXT',
      `${path} is not UTF-8: invalid byte at offset ${offset + firstInvalid(bytes)}`,
      'convert the text to UTF-8',
    );
  }
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}

/** Bytes that a lead byte announces, itself included; 0 for a byte that cannot lead. */
function characterLength(lead: number): number {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead < 0xe0) return 2;
  if (lead >= 0xe0 && lead < 0xf0) return 3;
  return lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
}

/** Bytes at the end that begin a character but do not finish it. */
function partialCharacter(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back]!;
    if (byte < 0x80) return 0;
    if (byte >= 0xc0) return characterLength(byte) > back ? back : 0;
  }
  return 0;
}

/** Index of the first byte that belongs to no valid character. */
function firstInvalid(bytes: Uint8Array): number {
  let at = 0;
  while (at < bytes.length) {
    const length = characterLength(bytes[at]!);
    if (length === 0 || !isUtf8(bytes.subarray(at, at + length))) return at;
    at += length;
  }
  return at;
}
