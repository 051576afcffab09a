/** Reading text files: encodings, line ends, and characters that blocks of 64 KiB cut. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { readText, requireText } from '../../lib/tokenizer/text';

const folder = mkdtempSync(join(tmpdir(), 'struprune-text-'));
test.after.always(() => rmSync(folder, { recursive: true }));

let files = 0;
function read(content: string | Uint8Array): string {
  const path = join(folder, `${files++}.txt`);
  writeFileSync(path, content);
  return [...readText(path)].join('');
}

const BLOCK = 65_536;

test('line ends become LF and a byte order mark goes', (t) => {
  t.is(read('\ufeffa\r\nb\rc\n\r\n\r\rd\r'), 'a\nb\nc\n\n\n\nd\n');
  t.is(read('a\ufeffb'), 'a\ufeffb');
  t.is(read(''), '');
});

test('blocks cut neither characters nor CRLF', (t) => {
  for (let shift = 0; shift < 5; shift++) {
    const text = `${'x'.repeat(BLOCK - 3 + shift)}é川😀\r\n`.repeat(3);
    t.is(read(text), text.replaceAll('\r\n', '\n'), `shift ${shift}`);
    const returns = `${'x'.repeat(BLOCK - 2 + shift)}\r\r\ny\r`;
    t.is(read(returns), `${'x'.repeat(BLOCK - 2 + shift)}\n\ny\n`, `shift ${shift}`);
  }
});

test('what is not UTF-8 is an error with its offset', (t) => {
  const cases: [string, number[], number][] = [
    ['a lone continuation byte', [0x80], 0],
    ['Latin-1', [0xe9, 0x20], 0],
    ['an overlong form', [0xc0, 0xaf], 0],
    ['a surrogate', [0xed, 0xa0, 0x80], 0],
    ['beyond Unicode', [0xf4, 0x90, 0x80, 0x80], 0],
    ['a character that the end cuts', [0xe5, 0xb7], 0],
    ['a valid character before it', [0xc3, 0xa9, 0xff], 2],
  ];
  for (const [what, bytes, at] of cases) {
    for (const before of [0, 7, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK]) {
      const content = Buffer.concat([Buffer.alloc(before, 'a'), Buffer.from(bytes)]);
      const error = t.throws(() => read(content), undefined, what);
      t.like(error, { code: 'ERR_TEXT' });
      t.regex(error.message, new RegExp(`offset ${before + at};`), `${what} after ${before}`);
    }
  }
});

test('only what is asked for is read', (t) => {
  const path = join(folder, 'tail.txt');
  writeFileSync(path, Buffer.concat([Buffer.alloc(BLOCK, 'a'), Buffer.from([0xff])]));
  const text = readText(path);
  t.is(text.next().value, 'a'.repeat(BLOCK));
  t.throws(() => text.next());
});

test('a missing file', (t) => {
  t.like(
    t.throws(() => [...readText(join(folder, 'none'))]),
    { code: 'ERR_NOT_FOUND' },
  );
});

test('a pipe or a device is refused without waiting for it', (t) => {
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  for (const path of [pipe, '/dev/zero', '/dev/null']) {
    for (const use of [() => requireText(path), () => [...readText(path)]]) {
      t.throws(use, {
        code: 'ERR_TEXT',
        message: /is a pipe or a device; save the text as a file/,
      });
    }
  }
});
