import test from 'ava';

import { llama3Factors, llama3FromFactors } from '../../lib/checkpoint/rope-tables';

const LLAMA_32 = { factor: 32, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 8192 };

test('divisors are those of the published rule', (t) => {
  // Independent computation for Llama 3.2 (theta 500000, head width 64), by wave length.
  const factors = llama3Factors(LLAMA_32, 500000, 64);
  t.is(factors.length, 32);
  for (let pair = 0; pair < 32; pair++) {
    const waveLength = 2 * Math.PI * 500000 ** (pair / 32);
    let expected = 1;
    if (waveLength > 8192) expected = 32;
    else if (waveLength >= 2048) {
      const smooth = (8192 / waveLength - 1) / 3;
      expected = 1 / ((1 - smooth) / 32 + smooth);
    }
    t.true(Math.abs(factors[pair]! - expected) < 1e-5 * expected, `pair ${pair}`);
  }
});

test('parameters come back from their table', (t) => {
  for (const headDim of [64, 128]) {
    const table = llama3Factors(LLAMA_32, 500000, headDim);
    t.deepEqual(llama3FromFactors(table, 500000, headDim), LLAMA_32);
  }
  // One interpolated entry is enough where the high factor is 4 (the small fixture).
  const small = { factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 256 };
  t.deepEqual(llama3FromFactors(llama3Factors(small, 10000, 16), 10000, 16), small);
  const odd = { factor: 16, lowFreqFactor: 1, highFreqFactor: 6, originalMaxPositions: 4096 };
  const found = llama3FromFactors(llama3Factors(odd, 500000, 128), 500000, 128)!;
  t.true(Math.abs(found.highFreqFactor - 6) < 0.01);
  t.true(Math.abs(found.originalMaxPositions - 4096) < 4);
});

test('tables of other rules have no parameters', (t) => {
  const table = llama3Factors(LLAMA_32, 500000, 64);
  table[3] = 2;
  t.is(llama3FromFactors(table, 500000, 64), null);
  t.is(llama3FromFactors(new Float32Array(32).fill(1), 500000, 64), null);
});
