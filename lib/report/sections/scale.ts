/** A run on several ranks. */
import type { BenchScale } from '../../documents/bench';
import { counted } from '../../numbers';
import type { Html } from '../html';
import { grouped, mebibytes, time, times } from '../numbers';
import { number, table } from '../table';

export function scaleTable({ gbit, calibrationTokens, measured, rows }: BenchScale): Html {
  const alone = measured.reduce((sum, { seconds }) => sum + seconds, 0);
  const took = (name: string) => measured.find(({ stage }) => stage === name)?.seconds ?? 0;
  const cells = (seconds: (number | null)[]) => seconds.map((one) => number(one, time));
  return table({
    id: 'scale-rows',
    caption: `A prune calibrated on ${counted(calibrationTokens, 'token')}: measured on one process, and by the plan on ranks, each on a machine like this one, that send each other ${gbit} Gbit/s. Seconds are those of the rank that takes longest.`,
    head: ['ranks', 'survey', 'solve', 'network', 'all', 'faster', 'sent by a rank'],
    rows: [
      [
        number(1, grouped),
        ...cells([took('survey'), took('solve'), null, alone]),
        number(1, times),
        number(null, mebibytes),
      ],
      ...rows.map((row) => [
        number(row.ranks, grouped),
        ...cells([row.survey, row.solve, row.sharesTokens ? row.network : null, row.seconds]),
        number(row.faster, times),
        number(sentBy(row), mebibytes),
      ]),
    ],
  });
}

/** Bytes of sums that the rank sends that sends most. */
export function sentBy({ ranks, each }: BenchScale['rows'][number]): number {
  const of = (rank: number) =>
    each.filter((one) => one.rank === rank).reduce((sum, { sent }) => sum + sent, 0);
  return Math.max(...Array.from({ length: ranks }, (_, rank) => of(rank)));
}
