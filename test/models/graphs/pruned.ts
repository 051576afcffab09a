/** What tests of pruned graphs share: folders, what a file holds, how far it is from what it should hold. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { parseSafetensors } from '../../../lib/checkpoint/container';
import type { OnnxFile } from '../../../lib/models/graphs/onnx/file';
import { dimsOf } from '../../../lib/models/graphs/onnx/tensor';
import { tensorFloats } from '../../../lib/models/graphs/run/weights';
import { pruneGraph } from '../../../lib/prune-graph';

/** For the time of a test. */
export function folderOf(t: Pick<ExecutionContext, 'teardown'>): string {
  const folder = mkdtempSync(join(tmpdir(), 'struprune-graphs-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

interface Floats {
  dims: readonly number[];
  values: Float32Array;
}

/** Of a safetensors file of 32-bit floats. */
export function floatsIn(path: string): Map<string, Floats> {
  const bytes = readFileSync(path);
  return new Map(
    parseSafetensors(path).tensors.map(({ name, shape, offset, bytes: length }) => {
      const data = new Uint8Array(bytes.subarray(offset, offset + length)).buffer;
      return [name, { dims: shape, values: new Float32Array(data) }];
    }),
  );
}

export function constantsOf(file: OnnxFile): Map<string, Floats> {
  const { initializer } = file.model.graph!;
  return new Map(
    initializer.map((each) => [
      each.name,
      { dims: dimsOf(each), values: tensorFloats(file, each) },
    ]),
  );
}

/** The largest difference, as a share of the largest value that is wanted. */
export function gapOf(found: ArrayLike<number>, wanted: ArrayLike<number>): number {
  const all = Array.from(wanted);
  const most = all.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  return all.reduce((gap, value, i) => Math.max(gap, Math.abs(value - found[i]!)), 0) / most;
}

/** A run that was stopped after three sites goes on to the bytes of one that was not. */
export async function resumes(
  t: ExecutionContext,
  path: string,
  options: Omit<Parameters<typeof pruneGraph>[1], 'output'>,
): Promise<void> {
  const folder = folderOf(t);
  const [whole, stopped] = [join(folder, 'whole.onnx'), join(folder, 'stopped.onnx')];
  await pruneGraph(path, { ...options, output: whole });
  const stop = new AbortController();
  const reason = new Error('stopped');
  const run = pruneGraph(path, {
    ...options,
    ...{ output: stopped, signal: stop.signal },
    onProgress: ({ stage, done }) => {
      if (stage === 'solve' && done === 3) stop.abort(reason);
    },
  });
  t.is(await t.throwsAsync(run), reason);
  const { resumedSites } = await pruneGraph(path, { ...options, output: stopped, resume: true });
  t.is(resumedSites, 3);
  t.deepEqual(readFileSync(stopped), readFileSync(whole));
}
