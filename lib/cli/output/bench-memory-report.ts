import type { BenchDocument } from '../../documents/bench';
import { duration, grouped, mebibytes, percent } from '../../numbers';
import { table } from './table';

export function memoryReport({ memory }: BenchDocument): string {
  const { rows, idleBytes, constantBytes, slope, layerSlope } = memory!;
  const head = [
    'model',
    'parameters',
    'budget',
    'native',
    'process tree',
    'of budget',
    'held to',
    'scratch',
    'read',
    'written',
    'time',
    'SHA-256',
  ];
  const known = (value: number | null) => (value === null ? '-' : mebibytes(value));
  const body = rows.map((row) => [
    row.label,
    grouped(row.parameters),
    row.budgetBytes === null ? 'none' : mebibytes(row.budgetBytes),
    mebibytes(row.nativePeakBytes),
    known(row.peakBytes),
    row.budgetBytes === null || row.peakBytes === null || idleBytes === null
      ? '-'
      : percent((row.peakBytes - idleBytes) / row.budgetBytes),
    known(row.limitBytes),
    mebibytes(row.scratchBytes),
    mebibytes(row.scratchReadBytes),
    mebibytes(row.scratchWrittenBytes),
    duration(row.seconds),
    row.sha256.slice(0, 12),
  ]);
  const growth =
    slope === null
      ? []
      : [
          `growth with the parameters, log-log: ${slope.toFixed(2)} at the smallest budgets` +
            (layerSlope === null ? '' : `, ${layerSlope.toFixed(2)} a layer at a time`),
        ];
  return [
    `idle Node with the library: ${known(idleBytes)}; what any run takes above it: ${known(constantBytes)}`,
    table([head, ...body], ['left', ...head.slice(1, -1).map(() => 'right' as const), 'left']),
    ...growth,
  ].join('\n\n');
}
