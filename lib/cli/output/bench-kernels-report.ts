import type { BenchDocument, BenchKernel } from '../../documents/bench';
import { percent, short } from '../../numbers';
import { table } from './table';

export function kernelsReport({ kernels }: BenchDocument): string {
  const { roofs, rows, model } = kernels!;
  const parts = roofs.flatMap(({ device, gemmRates, bandwidth }) => {
    const rates = gemmRates.map(({ dtype, gflops }) => `${dtype} ${gflops.toFixed(0)} GFLOP/s`);
    const own = rows.filter((row) => row.device === device);
    return [`${device}: ${rates.join(', ')}, ${bandwidth.toFixed(1)} GB/s`, tableOf(own)];
  });
  return [`${model.name}, roofs measured in this run`, ...parts].join('\n\n');
}

function tableOf(rows: readonly BenchKernel[]): string {
  const head = ['operation', 'shape', 'ms', 'GFLOP/s', 'attainable', 'GB/s', 'share', 'bound by'];
  const body = rows.map((row) => [
    row.op,
    row.shape,
    short(1000 * row.seconds),
    row.flops ? short(row.gflops) : '-',
    row.flops ? short(row.attainable) : '-',
    short(row.bytes / row.seconds / 1e9),
    percent(row.share),
    row.bound,
  ]);
  return table(
    [head, ...body],
    ['left', 'left', 'right', 'right', 'right', 'right', 'right', 'left'],
  );
}
