/** Samples of `.npz` files, written by numpy (scripts/oracles/make-graph-run-fixtures.py). */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { parseSafetensors } from '../../../lib/checkpoint/container';
import { StruPruneError } from '../../../lib/errors';
import { parseNpz } from '../../../lib/models/graphs/run/npz';
import { pruneGraph } from '../../../lib/prune-graph';

const at = (name: string) => join(__dirname, '../../fixtures/graph-runs', name);
const folder = mkdtempSync(join(tmpdir(), 'struprune-npz-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

function written(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

test('arrays lie where numpy stored them', (t) => {
  const arrays = parseNpz(at('mlp.inputs.npz'));
  const bytes = readFileSync(at('mlp.inputs.npz'));
  const { tensors } = parseSafetensors(at('mlp.inputs.safetensors'));
  const wanted = readFileSync(at('mlp.inputs.safetensors'));
  const [x, flags, one] = arrays;
  t.deepEqual([x!.name, x!.dtype, x!.shape], ['x', 'F32', tensors[0]!.shape]);
  const [from, to] = [tensors[0]!.offset, tensors[0]!.offset + tensors[0]!.bytes];
  t.true(bytes.subarray(x!.offset, x!.offset + x!.bytes).equals(wanted.subarray(from, to)));
  t.deepEqual([flags!.dtype, flags!.shape, flags!.bytes], ['BOOL', [2, 3], 6]);
  t.deepEqual([one!.dtype, one!.shape], ['I64', []]);
  t.is(bytes.readBigInt64LE(one!.offset), -7n);
});

test('a graph is pruned on them as on safetensors', async (t) => {
  const prune = async (calibration: string) => {
    const output = join(folder, `${calibration}.onnx`);
    const options = { output, sparsity: 0.4, allocation: 'uniform', threads: 1 } as const;
    await pruneGraph(at('mlp.onnx'), { ...options, calibration: at(calibration) });
    return readFileSync(output);
  };
  t.deepEqual(await prune('mlp.inputs.npz'), await prune('mlp.inputs.safetensors'));
});

test('numbers of 64 bits, as of archives above 4 GiB', (t) => {
  const path = at('mlp.inputs.npz');
  const bytes = readFileSync(path);
  const end = bytes.length - 22;
  const directory = bytes.readUInt32LE(end + 16);
  const entry = Buffer.from(bytes.subarray(directory, end));
  const name = entry.readUInt16LE(28);
  const first = entry.subarray(0, 46 + name + entry.readUInt16LE(30));
  const extra = Buffer.alloc(28);
  extra.writeUInt16LE(1, 0);
  extra.writeUInt16LE(24, 2);
  for (const [i, field] of [24, 20, 42].entries()) {
    extra.writeBigUInt64LE(BigInt(first.readUInt32LE(field)), 4 + 8 * i);
    first.writeUInt32LE(0xffffffff, field);
  }
  const head = first.subarray(0, 46 + name);
  head.writeUInt16LE(extra.length, 30);
  const record = Buffer.alloc(56);
  record.writeUInt32LE(0x06064b50, 0);
  record.writeBigUInt64LE(BigInt(head.length + extra.length), 40);
  record.writeBigUInt64LE(BigInt(directory), 48);
  const locator = Buffer.alloc(20);
  locator.writeUInt32LE(0x07064b50, 0);
  locator.writeBigUInt64LE(BigInt(directory + head.length + extra.length), 8);
  const last = Buffer.from(bytes.subarray(end));
  last.writeUInt32LE(0xffffffff, 12);
  last.writeUInt32LE(0xffffffff, 16);
  const body = bytes.subarray(0, directory);
  const wide = written('wide.npz', Buffer.concat([body, head, extra, record, locator, last]));
  t.deepEqual(parseNpz(wide), parseNpz(path).slice(0, 1));
});

test('what cannot be read is refused by name', (t) => {
  const refused = (path: string, code: string, message: RegExp) =>
    t.throws(() => parseNpz(path), { code, message });
  refused(at('compressed.npz'), 'ERR_UNSUPPORTED', /holds "x\.npy" compressed.*np\.savez/);
  refused(at('big-endian.npz'), 'ERR_UNSUPPORTED', /no plain array.*>f4/);
  refused(at('mlp.onnx'), 'ERR_CHECKPOINT', /no whole \.npz file/);
  refused(written('empty.npz', new Uint8Array()), 'ERR_CHECKPOINT', /no whole/);
});

test('of a damaged archive nothing outside is read', (t) => {
  const bytes = readFileSync(at('mlp.inputs.npz'));
  const body = parseNpz(at('mlp.inputs.npz'))[0]!;
  let refused = 0;
  for (let place = 0; place < bytes.length; place++) {
    if (place >= body.offset && place < body.offset + body.bytes) continue;
    for (const value of [0, 0xff, bytes[place]! ^ 0x10]) {
      const changed = Buffer.from(bytes);
      changed[place] = value;
      try {
        for (const { offset, bytes: length } of parseNpz(written('changed.npz', changed))) {
          t.true(offset + length <= bytes.length);
        }
      } catch (error) {
        if (!(error instanceof StruPruneError)) throw error;
        refused++;
      }
    }
  }
  t.true(refused > 100, `${refused}`);
});
