/** The compiled program's eval on SmolLM2: known perplexities, memory, and its share of the machine's sgemm rate. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { Evaluation } from '../../lib/measure/perplexity';

const ROOT = join(__dirname, '../..');
const WINDOW = 2048;
/** Of the sgemm rate that the same run measures; of one run, on a machine without neighbours. */
const SHARE = 0.7;
/** Perplexity by torch on weights dequantised to float32 (perplexity.py: whole text, no BOS, windows apart). */
const WIKITEXT = 'wikitext-2/wiki.test.raw';
const TEXTS = [
  { name: WIKITEXT, windows: 8, perplexity: 19.2645, tolerance: 0.001, long: false },
  { name: WIKITEXT, windows: 40, perplexity: 20.574, tolerance: 0.01, long: true },
  { name: 'ptb/ptb.test.txt', windows: 49, perplexity: 41.598, tolerance: 0.02, long: true },
];

const DATA = [
  process.env.STRUPRUNE_DATA,
  join(ROOT, 'shared', 'data'),
  join(ROOT, '..', 'shared', 'data'),
].find((path) => path !== undefined && existsSync(join(path, WIKITEXT)));

/** In a process of its own, so that the peak of its memory is eval's. */
function evaluateByProgram(text: string, tokens: number): Evaluation {
  const program = join(ROOT, 'dist', 'lib', 'cli', 'main.js');
  const args = ['eval', process.env.STRUPRUNE_MODEL!, '--text', text, '--json'];
  const limits = ['--window', String(WINDOW), '--max-tokens', String(tokens)];
  const printed = execFileSync(process.execPath, [program, ...args, ...limits], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return JSON.parse(printed);
}

for (const { name, windows, perplexity, tolerance, long } of TEXTS) {
  // The corpora are no part of the project: STRUPRUNE_DATA says where they lie.
  // The long ones cost ten minutes each on a slow machine: STRUPRUNE_LONG=1 runs them too.
  const skipped = DATA === undefined || (long && process.env.STRUPRUNE_LONG !== '1');
  const run = skipped ? test.serial.skip : test.serial;
  run(`${name}, ${windows} windows: perplexity ${perplexity}`, (t) => {
    t.timeout(30 * 60 * 1000);
    const tokens = windows * WINDOW;
    const result = evaluateByProgram(join(DATA!, name), tokens);
    t.log(JSON.stringify(result));
    t.is(result.tokens, tokens);
    t.true(Math.abs(result.perplexity - perplexity) <= tolerance, String(result.perplexity));
    t.true(result.peakRssBytes <= 350 * 2 ** 20, `${result.peakRssBytes / 2 ** 20} MiB`);
    t.true(result.gemmShare! >= SHARE, `gemmShare ${result.gemmShare}`);
  });
}

const fallback = DATA === undefined ? test.serial : test.serial.skip;
fallback('memory and share of the sgemm rate on the text of the project', (t) => {
  t.timeout(30 * 60 * 1000);
  const text = join(ROOT, 'assets', 'text', 'evaluation.txt');
  const { gemmShare, peakRssBytes, tokens } = evaluateByProgram(text, 8 * WINDOW);
  t.log(`gemmShare ${gemmShare}`);
  t.is(tokens, 8 * WINDOW);
  t.true(peakRssBytes <= 350 * 2 ** 20, `${peakRssBytes / 2 ** 20} MiB`);
  t.true(gemmShare! >= SHARE, `gemmShare ${gemmShare}`);
});
