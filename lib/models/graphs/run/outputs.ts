/** What a graph in a file gives where the budget has no room for all of its weights at once: it runs in segments. */
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { native } from '../../../engine/native';
import { dataPath, OnnxFile } from '../onnx/file';
import { relate } from '../relate';
import type { Runtime } from './runtime';
import type { Samples } from './samples';
import { Segments } from './segments';
import { type Visit, Walk } from './walk';

/** What runs a graph in a file. */
export interface Running {
  runtime: Runtime;
  /** Bytes that the process may take, 0: any number; and a folder for what lies between segments. */
  room: { memory: number; scratch: string };
  /** Called before every batch; may throw. */
  between(): void;
}

/** What onnxruntime takes for a byte of weights: they are read, and laid out as its products want them. */
const COPIES = 2;

/** Whether onnxruntime may have these graphs open as wholes. */
export async function haveRoom({ memory }: Running['room'], ...paths: string[]): Promise<boolean> {
  if (memory === 0) return true;
  let bytes = native.peakRss();
  for (const path of paths) bytes += COPIES * (await sizeOf(path));
  return bytes <= memory;
}

interface Visited {
  outputs: readonly string[];
  /** Gets them of every batch, some at a time. */
  visit: Visit;
}

export async function visitOutputs(
  path: string,
  samples: Samples,
  visited: Visited,
  running: Running,
): Promise<void> {
  const { runtime, room, between } = running;
  if (!(await haveRoom(room, path))) return visitInSegments(path, samples, visited, running);
  await using session = await runtime.open(path);
  let batch = 0;
  for (const feeds of samples.read()) {
    between();
    await visited.visit(await session.run(feeds), batch++);
  }
}

export async function visitInSegments(
  path: string,
  samples: Samples,
  { outputs, visit }: Visited,
  { runtime, room, between }: Running,
): Promise<void> {
  using file = OnnxFile.open(path);
  const network = relate(file);
  const segments = new Segments(network, [...network.graph.node.keys()]);
  const folder = await mkdtemp(join(room.scratch, 'struprune-segments-'));
  try {
    using walk = new Walk({ file, segments, runtime: runtime.with(folder), samples, between });
    await walk.visit(outputs, visit);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Of an ONNX file, its external data included. */
export async function sizeOf(path: string): Promise<number> {
  const data = await stat(dataPath(path)).catch(() => null);
  return (await stat(path)).size + (data?.size ?? 0);
}
