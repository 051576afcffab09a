import test from 'ava';
import { overlapWarning, windows } from '../../lib/calibration/corpus';
import { atOnce } from '../../lib/turns';

/** Ids of a text that repeats nothing: xorshift, 16 bits each. */
function randomIds(count: number, seed: number): Int32Array {
  let state = seed;
  return Int32Array.from({ length: count }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 16;
  });
}

const warningOf = (...texts: Parameters<typeof overlapWarning>) => atOnce(overlapWarning(...texts));

test('windows do not overlap and a short last one is dropped', (t) => {
  const ids = Int32Array.from({ length: 10 }, (_, i) => i);
  t.deepEqual(windows(ids, 3), { ids: ids.slice(0, 9), windows: 3 });
  t.deepEqual(windows(ids, 3, 7), { ids: ids.slice(0, 6), windows: 2 });
  t.deepEqual(windows(ids, 5, 1000), { ids, windows: 2 });
});

test('less than one window is an error that says what is missing', (t) => {
  const short = t.throws(() => windows(new Int32Array(120), 2048));
  t.like(short, { code: 'ERR_TEXT' });
  t.regex(short.message, /120 tokens, one window needs 2048; give more text or a smaller window/);
  const limited = t.throws(() => windows(new Int32Array(5000), 2048, 1000));
  t.like(limited, { code: 'ERR_TEXT' });
  t.regex(limited.message, /1000 tokens were asked for, one window needs 2048/);
});

test('different texts do not overlap', (t) => {
  t.is(warningOf(randomIds(200_000, 1), randomIds(100_000, 2)), null);
  t.is(warningOf(new Int32Array(10), new Int32Array(10)), null);
});

test('the share of a common passage is found wherever it stands', (t) => {
  const evaluation = randomIds(10_063, 3);
  const calibration = randomIds(30_000, 4);
  // 2063 common ids are 2000 common shingles of 10,000.
  calibration.set(evaluation.subarray(5000, 7063), 12_345);
  t.regex(warningOf(calibration, evaluation) ?? '', /20\.0 % of the evaluation text/);
});

test('a common passage is found among more shingles than are remembered', (t) => {
  const evaluation = randomIds(20_063, 5);
  const calibration = randomIds(1_000_000, 6);
  calibration.set(evaluation, 777_777);
  t.regex(warningOf(calibration, evaluation) ?? '', /100\.0 % of the evaluation text/);
  const half = calibration.slice();
  half.fill(7, 777_777, 777_777 + 10_031);
  const percent = Number(/([\d.]+) %/.exec(warningOf(half, evaluation) ?? '')?.[1]);
  t.true(Math.abs(percent - 50) < 8, `${percent}`);
});
