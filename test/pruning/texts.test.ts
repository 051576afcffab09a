import test from 'ava';
import { mixedInto, splitText } from '../../lib/pruning/texts';

const WINDOW = 4;
const text = (windows: number) => Int32Array.from({ length: windows * WINDOW }, (_, i) => i);
const split = (windows: number, calibration: number, tuning: number, asked = true) =>
  splitText(text(windows), WINDOW, {
    calibration: calibration * WINDOW,
    tuning: tuning * WINDOW,
    asked,
    measuring: 3 * WINDOW,
  });
/** First and last window, and how many. */
const span = (ids: Int32Array) => [ids[0]! / WINDOW, (ids.at(-1)! + 1) / WINDOW];

test('windows behind those that calibrate tune; an eighth of them, four at most, is held out', (t) => {
  for (const [tuning, train, held] of [
    [2, 1, 1],
    [9, 7, 2],
    [24, 21, 3],
    [80, 76, 4],
  ] as const) {
    const { ids, tuneText, warning } = split(100, 10, tuning);
    t.deepEqual(span(ids), [0, 10]);
    t.deepEqual(span(tuneText!.train), [10, 10 + train]);
    t.deepEqual(span(tuneText!.heldOut), [10 + train, 10 + train + held]);
    t.is(warning, null);
  }
});

test('nothing is tuned where no tokens are asked for', (t) => {
  const { ids, tuneText, warning } = split(100, 10, 0);
  t.deepEqual([span(ids), tuneText, warning], [[0, 10], null, null]);
});

test('a text that ends with its calibration tokens gives a quarter of them', (t) => {
  for (const windows of [16, 17]) {
    const { ids, tuneText, warning } = split(windows, 16, 64);
    t.deepEqual(span(ids), [0, 12]);
    t.deepEqual(span(tuneText!.train), [12, 15]);
    t.deepEqual(span(tuneText!.heldOut), [15, 16]);
    t.regex(warning!, /4 windows of 16 tune, and the others calibrate/);
  }
});

test('without being asked, what measures is left, and nothing is taken of what calibrates', (t) => {
  const rows: [windows: number, tunes: number | null][] = [
    [100, 16],
    [16 + 3 + 9, 9],
    [16 + 3 + 2, 2],
    [16 + 3 + 1, null],
    [16, null],
  ];
  for (const [windows, tunes] of rows) {
    const { ids, tuneText, warning } = split(windows, 16, 16, false);
    t.deepEqual(span(ids), [0, 16]);
    const tuned = tuneText && (tuneText.train.length + tuneText.heldOut.length) / WINDOW;
    t.is(tuned, tunes);
    t.is(warning === null, tunes !== null);
  }
});

test('few windows all calibrate', (t) => {
  const { ids, tuneText, warning } = split(7, 16, 64);
  t.deepEqual([span(ids), tuneText], [[0, 7], null]);
  t.regex(warning!, /7 windows of 4 tokens: too few/);
});

test('refuses less than a window', (t) => {
  const ask = { calibration: WINDOW - 1, tuning: 8 * WINDOW, asked: true, measuring: 0 };
  t.throws(() => splitText(text(9), WINDOW, ask), { code: 'ERR_TEXT', message: /one window/ });
});

test('windows of another text lie evenly among those that train; none is held out', (t) => {
  const windowsOf = (ids: Int32Array) =>
    Array.from({ length: ids.length / WINDOW }, (_, i) => ids[i * WINDOW]!);
  for (const [own, mix] of [
    [7, 2],
    [4, 4],
    [2, 5],
    [3, 0],
  ] as const) {
    const heldOut = text(1);
    const train = text(own).map((id) => id + 100);
    const mixed = mixedInto(
      { train, heldOut },
      text(mix).map((id) => -id - 1),
      WINDOW,
    );
    t.is(mixed.heldOut, heldOut);
    const starts = windowsOf(mixed.train);
    t.deepEqual(
      starts.filter((id) => id >= 100),
      windowsOf(train),
    );
    const others = starts.flatMap((id, at) => (id < 0 ? [at] : []));
    t.deepEqual(
      others.map((at) => starts[at]),
      Array.from({ length: mix }, (_, i) => -i * WINDOW - 1),
    );
    // Of each stretch of the whole as many as of any other, to one.
    for (let end = 1; end <= starts.length; end++) {
      const due = (end * mix) / (own + mix);
      const found = others.filter((at) => at < end).length;
      t.true(Math.abs(found - due) <= 1, `${own} + ${mix}: ${found} of ${end}`);
    }
  }
});
