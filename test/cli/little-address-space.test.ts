/** A limit on address space: an error with a code where the addon meets it. Where V8 or the BLAS does, it ends the process. */
import { spawnSync } from 'node:child_process';
import { truncateSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import test from 'ava';
import { workspace } from '../e2e/models';
import './run';

const work = workspace();
test.after.always(() => work.remove());

const ROOT = resolve(__dirname, '../..');
const PROGRAM = join(ROOT, 'dist', 'lib', 'cli', 'main.js');
const GIB = 2 ** 30;

/** Node under `ulimit -v`. */
function limited(bytes: number, ...args: string[]) {
  const limit = `ulimit -v ${bytes / 1024}; "$@"`;
  const all = ['-c', limit, 'sh', process.execPath, ...args];
  return spawnSync('sh', all, { cwd: ROOT, encoding: 'utf8' });
}

/** One tensor of 64 GiB, most of it a hole of the file. */
function largeModel(): string {
  const folder = work.model('llama2');
  const bytes = 64 * GIB;
  const header = JSON.stringify({ x: { dtype: 'U8', shape: [bytes], data_offsets: [0, bytes] } });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const file = join(folder, 'model.safetensors');
  writeFileSync(file, Buffer.concat([length, Buffer.from(header)]));
  truncateSync(file, 8 + header.length + bytes);
  return folder;
}

test('a file that takes more address space than there is', (t) => {
  const text = join(ROOT, 'assets', 'text', 'evaluation.txt');
  const { status, stderr } = limited(8 * GIB, PROGRAM, 'eval', largeModel(), '--text', text);
  t.is(status, 6, stderr);
  t.regex(stderr, /^error: .*no more memory to map .*; .*ulimit -v.* \[ERR_BUDGET\]\n$/m);
});

/** A page of 16 GiB, which no disk is asked for. */
const LARGE_PAGE = `
  const { Engine } = require('./dist/lib');
  const engine = new Engine({ threads: 1, device: 'cpu' });
  const energy = async () => await engine.store('').matrix(1, 2 ** 32, 1).energy();
  engine.run(undefined, energy).catch(({ code, message }) => console.log(code, message));
`;

test('memory that the addon asks for and does not get', (t) => {
  const { stdout, stderr } = limited(8 * GIB, '-e', LARGE_PAGE);
  t.regex(stdout, /^ERR_BUDGET the system gave no more memory; /, stderr);
});
