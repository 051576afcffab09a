/** A run on several ranks. */
import type { BenchScale } from '../../documents/bench';
import { scaleRows } from '../../documents/scale-rows';
import { counted } from '../../numbers';
import type { Html } from '../html';
import { grouped, mebibytes, time, times } from '../numbers';
import { number, table } from '../table';

export function scaleTable(scale: BenchScale): Html {
  const { gbit, calibrationTokens } = scale;
  return table({
    id: 'scale-rows',
    caption: `A prune calibrated on ${counted(calibrationTokens, 'token')}: measured on one process, and by the plan on ranks, each on a machine like this one, that send each other ${gbit} Gbit/s. Seconds are those of the rank that takes longest.`,
    head: ['ranks', 'survey', 'solve', 'network', 'all', 'faster', 'sent by a rank'],
    rows: scaleRows(scale).map(({ ranks, survey, solve, network, seconds, faster, sent }) => [
      number(ranks, grouped),
      ...[survey, solve, network, seconds].map((one) => number(one, time)),
      number(faster, times),
      number(sent, mebibytes),
    ]),
  });
}
