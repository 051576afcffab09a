import test from 'ava';
import { wholeProgress } from '../../../lib/models/decoders/whole';
import type { Progress } from '../../../lib/progress';

const work = (stage: string) => ({ stage, flops: { single: 100, searching: 0, double: 0 } });

test.serial('what no plan gives work to does not slow the pace', (t) => {
  let clock = 0;
  Object.defineProperty(performance, 'now', { value: () => clock * 1000, configurable: true });
  t.teardown(() => Reflect.deleteProperty(performance, 'now'));
  const told: Progress['overall'][] = [];
  const plan = { stages: [work('survey'), work('solve')] } as never;
  const tell = wholeProgress(plan, false, ({ overall }) => told.push(overall!))!;
  const at = (time: number, stage: Progress['stage'], done: number) => {
    clock = time;
    tell({ stage, done, total: 10, block: null, message: '', secondsLeft: null });
  };
  at(10, 'survey', 10);
  at(11, 'sample', 1);
  at(40, 'sample', 10);
  at(42, 'solve', 0);
  at(47, 'solve', 5);
  t.deepEqual(told, [
    { share: 0.5, secondsLeft: 10 },
    { share: 0.5, secondsLeft: 10 },
    { share: 0.5, secondsLeft: 10 },
    { share: 0.5, secondsLeft: 10 },
    { share: 0.75, secondsLeft: 5 },
  ]);
});
