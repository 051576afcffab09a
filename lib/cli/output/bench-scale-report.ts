import type { BenchDocument } from '../../documents/bench';
import { counted, duration, mebibytes } from '../../numbers';
import { sentBy } from '../../report/sections/scale';
import { table } from './table';

export function scaleReport({ scale }: BenchDocument): string {
  const { model, gbit, calibrationTokens, measured, rows } = scale!;
  const alone = measured.reduce((sum, { seconds }) => sum + seconds, 0);
  const took = (name: string) => measured.find(({ stage }) => stage === name)?.seconds ?? 0;
  const cells = rows.map((row) => [
    String(row.ranks),
    duration(row.survey),
    duration(row.solve),
    row.sharesTokens ? duration(row.network) : 'rank 0 solves alone',
    duration(row.seconds),
    `×${row.faster.toFixed(2)}`,
    mebibytes(sentBy(row)),
  ]);
  const first = [
    '1',
    duration(took('survey')),
    duration(took('solve')),
    '-',
    duration(alone),
    '',
    '-',
  ];
  const head = ['ranks', 'survey', 'solve', 'network', 'all', 'faster', 'sent by a rank'];
  return [
    `${model.name}, ${counted(calibrationTokens, 'calibration token')}: measured on this machine; by the plan on ranks, each on a machine like this one, that send each other ${gbit} Gbit/s`,
    table(
      [head, first, ...cells],
      head.map(() => 'right'),
    ),
  ].join('\n\n');
}
