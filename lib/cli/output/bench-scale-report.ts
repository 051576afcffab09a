import type { BenchDocument } from '../../documents/bench';
import { scaleRows } from '../../documents/scale-rows';
import { counted, duration, mebibytes } from '../../numbers';
import { table } from './table';

export function scaleReport({ scale }: BenchDocument): string {
  const { model, gbit, calibrationTokens } = scale!;
  const rows = scaleRows(scale!).map(({ ranks, survey, solve, network, seconds, faster, sent }) => [
    String(ranks),
    duration(survey),
    duration(solve),
    network === null ? (ranks === 1 ? '-' : 'rank 0 solves alone') : duration(network),
    duration(seconds),
    `×${faster.toFixed(2)}`,
    mebibytes(sent),
  ]);
  const head = ['ranks', 'survey', 'solve', 'network', 'all', 'faster', 'sent by a rank'];
  return [
    `${model.name}, ${counted(calibrationTokens, 'calibration token')}: measured on this machine; by the plan on ranks, each on a machine like this one, that send each other ${gbit} Gbit/s`,
    table(
      [head, ...rows],
      head.map(() => 'right'),
    ),
  ].join('\n\n');
}
