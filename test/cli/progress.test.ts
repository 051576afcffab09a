import test from 'ava';
import { expectedTime } from '../../lib/cli/output/plan-report';
import { barLine, plainLine, progressView } from '../../lib/cli/terminal/progress';
import type { Progress } from '../../lib/progress';

const progress: Progress = {
  stage: 'solve',
  done: 10,
  total: 30,
  block: 9,
  bytes: 2 ** 20,
  message: 'block 10 of 30',
  secondsLeft: 41.2,
  overall: null,
};

test('lines', (t) => {
  t.is(plainLine(progress), 'solve: 33 %, block 10 of 30, 0:41 left');
  t.is(plainLine({ ...progress, secondsLeft: null }), 'solve: 33 %, block 10 of 30');
  t.is(
    barLine(progress, 79),
    'solve     [########----------------]  33 %  block 10 of 30  0:41 left',
  );
  t.is(barLine(progress, 60), 'solve     [#####----------]  33 %  block 10 of 30  0:41 left');
  t.is(barLine(progress, 50), plainLine(progress), 'no room for the bar');
  t.is(barLine(progress, 30), 'solve: 33 %, block…, 0:41 left');
  t.is(barLine(progress, 12), 'solve: 33 %…');
  const long = { ...progress, message: 'trials of blocks 5-8: block 22 of 30, and more' };
  t.is(
    barLine(long, 79),
    'solve     [###-------]  33 %  trials of blocks 5-8: block 22 of 30,…  0:41 left',
  );
  for (let width = 1; width < 120; width++) {
    t.true(barLine(long, width).length <= width, `${width}`);
    if (width >= 24) t.true(barLine(long, width).endsWith('0:41 left'), `${width}`);
  }
});

test('a run of many stages shows all of them', (t) => {
  const whole = { ...progress, overall: { share: 0.5, secondsLeft: 120 } };
  t.is(plainLine(whole), 'solve: 50 %, block 10 of 30, 2:00 left');
  t.is(
    plainLine({ ...whole, overall: { share: 0, secondsLeft: null } }),
    'solve: 0 %, block 10 of 30',
  );
});

class FakeStream {
  readonly columns = 60;
  text = '';
  constructor(readonly isTTY: boolean) {}
  write(text: string): boolean {
    this.text += text;
    return true;
  }
}

function show(isTTY: boolean, events: number): string {
  const stream = new FakeStream(isTTY);
  const view = progressView(stream as unknown as NodeJS.WriteStream);
  for (let done = 1; done <= events; done++) view.onProgress({ ...progress, done });
  view.clear();
  return stream.text;
}

test('a pipe gets plain lines, and seldom', (t) => {
  t.is(show(false, 30), 'solve: 3 %, block 10 of 30, 0:41 left\n');
});

test.serial('a terminal gets one line that is overwritten and removed', (t) => {
  const { TERM, NO_COLOR } = process.env;
  t.teardown(() => Object.assign(process.env, { TERM, NO_COLOR }));
  process.env.TERM = 'xterm';
  process.env.NO_COLOR = '1';
  const text = show(true, 30);
  t.true(text.startsWith('\r\x1b[Ksolve     [-'));
  t.true(text.endsWith('\r\x1b[K'));
  t.false(text.includes('\n'));
  delete process.env.NO_COLOR;
  t.true(show(true, 1).includes('\x1b[36m'), 'colours unless NO_COLOR');
});

test('what a run is expected to take, and what would be quicker', (t) => {
  const efforts = { quick: 65, balanced: 600, best: 1200 };
  t.is(
    expectedTime({ seconds: 600, efforts }),
    'about 10:00 on this machine; --effort quick: about 1:05',
  );
  t.is(expectedTime({ seconds: 65, efforts }), 'about 1:05 on this machine');
});
