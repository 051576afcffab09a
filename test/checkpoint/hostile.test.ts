import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';

import { parseGguf, parseSafetensors } from '../../lib/checkpoint/container';
import { hostileGguf, soundGguf } from '../hostile/gguf';
import { type HostileFile, writeHostile } from '../hostile/hostile-file';
import { hostileSafetensors, soundSafetensors } from '../hostile/safetensors';

const MIB = 2 ** 20;

let folder: string;
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'struprune-hostile-'));
});
test.after.always(() => rm(folder, { recursive: true, force: true }));

const formats = [
  { extension: 'safetensors', parse: parseSafetensors, hostile: hostileSafetensors },
  { extension: 'gguf', parse: parseGguf, hostile: hostileGguf },
] as const;

for (const { extension, parse, hostile } of formats) {
  for (const file of hostile) {
    test.serial(`${extension}: ${file.name} is refused`, async (t) => {
      const path = await writeHostile(folder, file, extension);
      const before = process.memoryUsage.rss();
      const error = t.throws(() => parse(path), { message: file.message }) as NamedError;
      t.is(error.code, file.code);
      t.truthy(error.mend);
      t.true(error.message.includes(path), 'the message names the file');
      // A length that is believed before it is checked would show here.
      t.true(process.memoryUsage.rss() - before < 64 * MIB);
    });
  }
}

interface NamedError extends Error {
  code?: HostileFile['code'];
  mend?: string;
}

test('the sound files, of which the hostile ones are made, are read', async (t) => {
  const safetensors = join(folder, 'sound.safetensors');
  await writeFile(safetensors, soundSafetensors);
  const data = soundSafetensors.length - 16;
  t.deepEqual(parseSafetensors(safetensors), {
    metadata: { format: 'pt' },
    tensors: [
      { name: 'a', dtype: 'F32', shape: [2], offset: data, bytes: 8 },
      { name: 'b', dtype: 'F32', shape: [1, 2], offset: data + 8, bytes: 8 },
    ],
  });

  const gguf = join(folder, 'sound.gguf');
  await writeFile(gguf, soundGguf);
  const start = soundGguf.length - 64;
  t.deepEqual(parseGguf(gguf), {
    version: 3,
    alignment: 32,
    metadata: {
      'general.architecture': { type: 'string', value: 'llama' },
      tokens: { type: 'array:string', value: ['a', 'b'] },
    },
    tensors: [
      { name: 'x', dtype: 'F32', shape: [2, 4], offset: start, bytes: 32 },
      { name: 'y', dtype: 'F32', shape: [8], offset: start + 32, bytes: 32 },
    ],
  });
});

test('a header of more tensors than any model has takes memory in proportion to the file', async (t) => {
  const path = join(folder, 'many.safetensors');
  const entry = (i: number) => `"t${i}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`;
  const json = `{${Array.from({ length: 1.2e6 }, (_, i) => entry(i)).join()}}`;
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  await writeFile(path, Buffer.concat([length, Buffer.from(json)]));
  const root = join(__dirname, '..', '..');
  const code = `
    const { parseSafetensors } = require('./lib/checkpoint/container');
    const before = process.resourceUsage().maxRSS;
    try { parseSafetensors(process.argv[1]); } catch (error) {
      console.log(JSON.stringify([error.message, (process.resourceUsage().maxRSS - before) * 1024]));
    }`;
  const args = ['-r', './scripts/lib/ts-register.js', '-e', code, path];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root });
  const [message, bytes] = JSON.parse(stdout) as [string, number];
  t.regex(message, /has more than 262144 tensors/);
  t.true(bytes < 256 * MIB + 8 * json.length, `${bytes}`);
});

test('a path that is not there, or not a file, is named', (t) => {
  const missing = t.throws(() => parseGguf(join(folder, 'nope'))) as NamedError;
  t.is(missing.code as string, 'ERR_NOT_FOUND');
  const directory = t.throws(() => parseSafetensors(folder)) as NamedError;
  t.is(directory.code, 'ERR_CHECKPOINT');
});

test('a key like __proto__ is a key', async (t) => {
  const path = join(folder, 'proto.safetensors');
  const json = '{"__metadata__":{"__proto__":"x"}}';
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  await writeFile(path, Buffer.concat([length, Buffer.from(json)]));
  const { metadata } = parseSafetensors(path);
  t.deepEqual(Object.keys(metadata), ['__proto__']);
});
