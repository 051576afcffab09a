import test from 'ava';
import { wholeProgress } from '../../../lib/models/decoders/whole';
import { type Progress, stageReporter } from '../../../lib/progress';

function withClock(run: (clock: { time: number }) => void): void {
  const clock = { time: 0 };
  Object.defineProperty(performance, 'now', { value: () => clock.time * 1000, configurable: true });
  try {
    run(clock);
  } finally {
    Reflect.deleteProperty(performance, 'now');
  }
}

const work = (stage: string) => ({ stage, flops: { single: 100, searching: 0, double: 0 } });

test.serial('what no plan gives work to does not slow the pace', (t) => {
  const told: Progress['overall'][] = [];
  withClock((clock) => {
    const plan = { stages: [work('survey'), work('solve')] } as never;
    const tell = wholeProgress(plan, false, ({ overall }) => told.push(overall!))!;
    const at = (time: number, stage: Progress['stage'], done: number) => {
      clock.time = time;
      tell({ stage, done, total: 10, block: null, message: '', secondsLeft: null });
    };
    at(10, 'survey', 10);
    at(11, 'sample', 1);
    at(40, 'sample', 10);
    at(42, 'solve', 0);
    at(47, 'solve', 5);
  });
  t.deepEqual(told, [
    { share: 0.5, secondsLeft: 10 },
    { share: 0.5, secondsLeft: 10 },
    { share: 0.5, secondsLeft: 10 },
    { share: 0.5, secondsLeft: 10 },
    { share: 0.75, secondsLeft: 5 },
  ]);
});

test.serial('what an earlier run did counts as done, and not for the pace', (t) => {
  const told: [share: number, whole: number | null, stage: number | null][] = [];
  withClock((clock) => {
    const plan = { stages: [work('survey'), work('solve'), work('tune')] } as never;
    const tell = wholeProgress(plan, false, ({ overall, secondsLeft }) =>
      told.push([overall!.share, overall!.secondsLeft, secondsLeft]),
    )!;
    const solve = stageReporter(tell, 'solve', 10);
    for (const [time, done] of [
      [1, 3],
      [2, 6],
    ]) {
      clock.time = time!;
      solve(done!, '', done!, true);
    }
    clock.time = 10;
    solve(8, '', 8);
    clock.time = 18;
    solve(10, '', 10);
    const tune = stageReporter(tell, 'tune', 10);
    clock.time = 20;
    tune(5, '', undefined, true);
    clock.time = 28;
    tune(7, '');
  });
  const round = (values: (number | null)[]) =>
    values.map((value) => value && Number(value.toFixed(4)));
  // A tenth of a stage, a thirtieth of all, takes 4 seconds.
  t.deepEqual(told.map(round), [
    [0.4333, null, null],
    [0.5333, null, null],
    [0.6, 48, 8],
    [0.6667, 40, 0],
    [0.8333, 20, null],
    [0.9, 12, 12],
  ]);
});
