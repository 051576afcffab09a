/** Logits of one text by us, by transformers and by llama.cpp; its ids by llama.cpp. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { Engine } from '../../lib/engine/engine';
import { using } from '../../lib/engine/owned';
import { Session } from '../../lib/engine/session';

/** Logits `[rows, vocab]`. */
export interface Logits {
  values: Float32Array;
  rows: number;
  vocab: number;
}

export async function ourLogits(model: string, ids: readonly number[]): Promise<Logits> {
  const engine = new Engine();
  const session = new Session(engine, await openCheckpoint(model));
  try {
    const { blocks, vocab } = session.architecture;
    const rows = ids.length;
    return await using(
      await session.embed(Int32Array.from(ids), rows, 'measuring'),
      async (hidden) => {
        for (let index = 0; index < blocks.length; index++) {
          await using(await session.loadBlock(index), (block) =>
            session.advance(block, hidden, rows, 'measuring'),
          );
        }
        const values = await session.ends.logits(hidden, 0, rows);
        return { values, rows, vocab };
      },
    );
  } finally {
    session.dispose();
    engine.dispose();
  }
}

export interface TransformersAnswer {
  class: string;
  module: string;
  parameters: number;
  /** Tensors that the class missed, did not know, or found in another shape. */
  loose: string[];
  /** Of the text, where one was given. */
  ids: number[] | null;
}

export interface TransformersJob {
  /**
   * gguf: dequantised by gguf-py; stock: a folder without code of its own; own: a folder whose code is trusted.
   */
  how: 'gguf' | 'stock' | 'own';
  model: string;
  ids: readonly number[];
  /** A text file for the folder's tokenizer. */
  text?: string;
}

export interface TransformersResult {
  logits: Logits;
  answer: TransformersAnswer;
}

/** All in one process: torch takes seconds to start. */
export function transformersLogitsOf(jobs: readonly TransformersJob[]): TransformersResult[] {
  return inFolder((folder) => {
    const path = join(folder, 'jobs.json');
    const output = (index: number) => join(folder, `${index}.f32`);
    const given = jobs.map((job, index) => ({ text: null, ...job, output: output(index) }));
    writeFileSync(path, JSON.stringify(given));
    const printed = execFileSync('python3', [join(__dirname, 'transformers_logits.py'), path], {
      // Where trusted code is copied to before it runs.
      env: { ...process.env, PYTHONPATH: process.env.STRUPRUNE_ORACLES, HF_HOME: folder },
      encoding: 'utf8',
      // Progress bars, shown only where it fails.
      stdio: 'pipe',
    });
    const answers: TransformersAnswer[] = JSON.parse(printed.trimEnd().split('\n').at(-1)!);
    return answers.map((answer, index) => ({
      answer,
      logits: readLogits(output(index), jobs[index]!.ids.length),
    }));
  });
}

export function transformersLogits(job: TransformersJob): TransformersResult {
  return transformersLogitsOf([job])[0]!;
}

/** Logits by llama.cpp's own kernels, or by BLAS, which rounds no activations (docs/decisions/0003). */
export function llamaLogits(
  model: string,
  ids: readonly number[],
  { blas = false } = {},
): { logits: Logits; architecture: string } {
  return inFolder((folder) => {
    const [job, output] = [join(folder, 'job.json'), join(folder, 'logits.f32')];
    writeFileSync(job, JSON.stringify({ model, ids, output }));
    const backend = blas ? process.env.STRUPRUNE_LLAMA_BLAS : undefined;
    const answer = runLlama('llama_logits.mjs', job, { GGML_BACKEND_PATH: backend });
    const { architecture } = answer as { architecture: string };
    return { logits: readLogits(output, ids.length), architecture };
  });
}

/** Quantises a file by llama.cpp's own quantiser; `type` is a number of its llama_ftype, 15 = Q4_K_M. */
export function quantiseByLlama(source: string, output: string, type: number): void {
  const script = join(__dirname, 'llama_quantize.py');
  const libraries = join(
    process.env.STRUPRUNE_LLAMA!,
    '../@node-llama-cpp/linux-x64/bins/linux-x64',
  );
  execFileSync('python3', [script, libraries, source, output, String(type)], { stdio: 'pipe' });
}

/** Ids by llama.cpp of texts, special tokens known, by the tokenizer of each GGUF file. */
export function llamaIds(models: readonly string[], texts: readonly string[]): number[][][] {
  return inFolder((folder) => {
    const job = join(folder, 'job.json');
    writeFileSync(job, JSON.stringify({ models, texts }));
    return runLlama('llama_tokenize.mjs', job) as number[][][];
  });
}

/** A script over node-llama-cpp on its job; what it prints last. */
function runLlama(name: string, job: string, env: NodeJS.ProcessEnv = {}): unknown {
  const args = [join(__dirname, name), process.env.STRUPRUNE_LLAMA!, job];
  const printed = execFileSync(process.execPath, args, {
    env: { ...process.env, ...env },
    encoding: 'utf8',
  });
  return JSON.parse(printed.trimEnd().split('\n').at(-1)!);
}

function inFolder<T>(use: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'struprune-oracle-'));
  try {
    return use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readLogits(path: string, rows: number): Logits {
  const bytes = readFileSync(path);
  const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  return { values, rows, vocab: values.length / rows };
}

/** Largest difference as a share of the largest logit; Infinity where shapes or any number is amiss. */
export function relativeDifference(ours: Logits, theirs: Logits): number {
  if (ours.rows !== theirs.rows || ours.vocab !== theirs.vocab) return Number.POSITIVE_INFINITY;
  let [worst, largest] = [0, 0];
  for (let i = 0; i < theirs.values.length; i++) {
    const [mine, wanted] = [ours.values[i]!, theirs.values[i]!];
    if (!Number.isFinite(mine) || !Number.isFinite(wanted)) return Number.POSITIVE_INFINITY;
    worst = Math.max(worst, Math.abs(mine - wanted));
    largest = Math.max(largest, Math.abs(wanted));
  }
  return worst / largest;
}

/** How far two programs' next-token distributions are apart. */
export interface Distance {
  /** Of the log-probability of the text's own next token: the mean over positions, with its sign. */
  mean: number;
  /** The same: the mean and the largest of the sizes. */
  meanSize: number;
  largest: number;
  /** Positions, and those of them at which the two have different likeliest tokens. */
  positions: number;
  changed: number;
}

export function distance(ours: Logits, theirs: Logits, ids: readonly number[]): Distance {
  if (ours.vocab !== theirs.vocab) throw new Error(`${ours.vocab} and ${theirs.vocab} logits`);
  const targets = ids.slice(1);
  const differences = targets.map(
    (target, row) => logProbability(ours, row, target) - logProbability(theirs, row, target),
  );
  const rows = [...ids.keys()];
  const sizes = differences.map(Math.abs);
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  return {
    mean: mean(differences),
    meanSize: mean(sizes),
    largest: Math.max(...sizes),
    positions: rows.length,
    changed: rows.filter((row) => likeliest(ours, row) !== likeliest(theirs, row)).length,
  };
}

function rowOf({ values, vocab }: Logits, row: number): Float32Array {
  return values.subarray(row * vocab, (row + 1) * vocab);
}

function likeliest(logits: Logits, row: number): number {
  const values = rowOf(logits, row);
  let best = 0;
  for (let token = 1; token < values.length; token++) {
    if (values[token]! > values[best]!) best = token;
  }
  return best;
}

function logProbability(logits: Logits, row: number, token: number): number {
  const values = rowOf(logits, row);
  const top = values[likeliest(logits, row)]!;
  const sum = values.reduce((total, value) => total + Math.exp(value - top), 0);
  return values[token]! - top - Math.log(sum);
}
