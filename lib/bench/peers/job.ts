import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { BenchContender } from '../../documents/bench';
import type { CutWindows } from '../../engine/native-ends';

/** Token ids as little-endian int32 in a file, whole windows. */
interface Ids {
  ids: string;
  window: number;
}

/** What a peer is asked to do, as JSON in a file: the same prune on the same tokens. */
export interface PeerJob {
  /** Hugging Face folder. */
  model: string;
  /** `cut`: as cutWindows() has it; null: no window is. */
  calibration: Ids & { cut: CutWindows | null };
  eval: Ids | null;
  surveyTokens: number;
  /** Share of the blocks' linear weights, out of FFN channels. */
  sparsity: number;
  /** Kept widths are multiples of it. */
  multiple: number;
  maxLayerSparsity: number;
  lambda: number;
  /** Feedback: shares of the error so far, and of the dense output, in a layer's target. */
  alpha: number;
  beta: number;
  threads: number;
  seed: number;
}

/** What a peer may print as the last line of its stdout; all of it is optional. */
const answer = z.object({
  stages: z.array(z.object({ name: z.string(), seconds: z.number() })).default([]),
  forwardShare: z.number().nullable().default(null),
  perplexity: z.number().nullable().default(null),
  /** Resident at most, while it pruned: without what its evaluation took. */
  peakBytes: z.number().nullable().default(null),
});

export async function writeIds(folder: string, name: string, ids: Int32Array): Promise<string> {
  const path = join(folder, `${name}.i32`);
  await writeFile(path, new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength));
  return path;
}

/** A peer that says nothing in our form has been timed all the same. */
export function answerOf(stdout: string): z.output<typeof answer> {
  // Python writes NaN where there is no number.
  const line = (stdout.trim().split('\n').at(-1) ?? '').replace(/-?\b(NaN|Infinity)\b/g, 'null');
  try {
    return answer.parse(JSON.parse(line));
  } catch {
    return answer.parse({});
  }
}

/** Stages that measure instead of pruning. */
const ASIDE = ['evaluate', 'measure sgemm'];

export function pruningSeconds(whole: number, stages: BenchContender['stages']): number {
  const aside = stages.filter(({ name }) => ASIDE.includes(name));
  return aside.reduce((rest, { seconds }) => rest - seconds, whole);
}
