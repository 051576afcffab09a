/** What may be asked of llama.cpp on quantised files, where it rounds activations (docs/decisions/0003). */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import {
  type Distance,
  distance,
  inFolder,
  type Logits,
  llamaBlasLogits,
  llamaLogits,
  readLogits,
  transformersLogitsOf,
} from './prune-oracles';

/** The bounds of issue A: nats, and the share of positions with another likeliest token. */
const MEAN = 0.02;
const CHANGED = 0.02;

/**
 * Our logits against llama.cpp's, on all positions. Where it multiplies by BLAS they are the same. Where it rounds
 * activations they may be as far apart as that puts two forwards of one program: for a llama file torch with it and
 * torch without, else llama.cpp token by token and in one batch, whose sums have another order (both have roundings
 * there, so that only positions are compared).
 */
export function quantised(
  t: ExecutionContext,
  model: string,
  ids: readonly number[],
  ours: Logits,
  theirs: Logits,
  architecture: string,
): void {
  const found = distance(ours, theirs, ids);
  t.log(`ours to llama.cpp: ${inWords(found)}`);
  t.true(Math.abs(found.mean) <= MEAN, String(found.mean));
  const exact = llamaBlasLogits(model, ids);
  if (exact) {
    const near = distance(ours, exact, ids);
    t.log(`ours to llama.cpp with BLAS: ${inWords(near)}`);
    t.true(near.largest <= MEAN && near.changed <= CHANGED * near.positions, inWords(near));
  }
  let reference: Distance;
  if (architecture === 'llama') {
    const [exact, rounded] = transformersLogitsOf([
      { how: 'gguf', model, ids },
      { how: 'gguf-rounded', model, ids },
    ]);
    reference = distance(exact!.logits, rounded!.logits, ids);
    t.log(`torch without rounding to torch with it: ${inWords(reference)}`);
    t.true(found.meanSize <= 1.25 * reference.meanSize, `${found.meanSize}, ${reference.meanSize}`);
  } else {
    reference = distance(llamaLogits(model, ids, 1).logits, theirs, ids);
    t.log(`llama.cpp to itself, token by token: ${inWords(reference)}`);
  }
  // Two counts of rare events: three standard errors of their difference.
  const most = reference.changed + 3 * Math.sqrt(reference.changed + found.changed);
  t.true(found.changed <= most, `${found.changed}, ${reference.changed}`);
}

function inWords({ mean, meanSize, largest, positions, changed }: Distance): string {
  const same = (100 * (1 - changed / positions)).toFixed(2);
  return `mean ${mean}, mean size ${meanSize}, largest ${largest}, the same likeliest token at ${same} % of positions`;
}

/** Both of a float32 forward: what is larger is no rounding of sums. */
const SAME = 1e-5;
const OTHER = 1e-3;

/**
 * Single blocks of the file in llama.cpp on the same inputs: at most positions its outputs are those of torch with rounded
 * activations, and not those of torch without. At the others a rounding fell the other way.
 */
export function rounding(
  t: ExecutionContext,
  model: string,
  ids: readonly number[],
  blocks: readonly number[],
): void {
  inFolder((folder) => {
    const job = join(folder, 'job.json');
    writeFileSync(job, JSON.stringify({ ids, blocks }));
    const args = [join(__dirname, 'single_blocks.py'), model, job, folder];
    const env = { ...process.env, PYTHONPATH: process.env.STRUPRUNE_ORACLES };
    execFileSync('python3', args, { env, encoding: 'utf8' });
    for (const block of blocks) {
      const { logits } = llamaLogits(join(folder, `${block}.gguf`), [...ids.keys()]);
      const toTorch = (how: 'rounded' | 'exact') =>
        medianDifference(logits, readLogits(join(folder, `${block}.${how}.f32`), ids.length));
      const [rounded, exact] = [toTorch('rounded'), toTorch('exact')];
      const what = `block ${block}: median ${rounded} of torch with rounding, ${exact} of torch without`;
      t.log(what);
      t.true(rounded <= SAME && exact >= OTHER, what);
    }
  });
}

/** The median over positions of ‖a − b‖ ÷ ‖b‖. */
function medianDifference(a: Logits, b: Logits): number {
  const shares = Array.from({ length: b.rows }, (_, row) => {
    let [difference, size] = [0, 0];
    for (let i = row * b.vocab; i < (row + 1) * b.vocab; i++) {
      difference += (a.values[i]! - b.values[i]!) ** 2;
      size += b.values[i]! ** 2;
    }
    return Math.sqrt(difference / size);
  });
  return shares.sort((x, y) => x - y)[Math.floor(b.rows / 2)]!;
}
