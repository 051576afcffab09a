/** Native operations against what the machine allows, one figure a device. */
import type { BenchKernel, BenchKernels } from '../../documents/bench';
import { rooflineChart } from '../charts/roofline';
import { figure } from '../figure';
import { type Html, html } from '../html';
import { data, grouped, percent, short } from '../numbers';
import { number, table, words } from '../table';

export function kernelFigures({ roofs, rows }: BenchKernels): Html {
  return html`${roofs.map((roof, i) => {
    const own = rows.filter(({ device }) => device === roof.device);
    return own.length === 0 ? null : deviceFigure(roof, own, `roofline-${i}`);
  })}`;
}

/** The middle share and the operation that is furthest from its roof. */
export function kernelSummary({ rows }: BenchKernels): Html {
  const sorted = [...rows].sort((a, b) => a.share - b.share);
  const worst = sorted[0];
  const middle = sorted[Math.floor((sorted.length - 1) / 2)];
  if (!worst || !middle) return html`<p>No operation was measured.</p>`;
  return html`<p>Half of the ${rows.length} operations reach at least
${data(middle.share, percent)} of what the machine allows. Furthest from it is ${worst.op}
(${worst.device}, ${worst.shape}) with ${data(worst.share, percent)}.</p>`;
}

function deviceFigure(
  roof: BenchKernels['roofs'][number],
  rows: readonly BenchKernel[],
  id: string,
): Html {
  const title = `Roofline of ${roof.device}`;
  // What only moves bytes has no place on a logarithmic axis of flops.
  const computing = rows.filter(({ flops }) => flops > 0);
  return figure({
    title,
    caption: html`The line is what the machine allows: ${roof.gemmRates.map(
      ({ dtype, gflops }, i) => html`${i > 0 ? ', ' : ''}${data(gflops, short)} GFLOP/s ${dtype}`,
    )} by measured products, ${data(roof.bandwidth, short)} GB/s by measured copies. Where labels would
overlap some are left out, as are operations without arithmetic; the table has all.`,
    chart: rooflineChart({
      id,
      title,
      description: `${computing.length} points under ${roof.gemmRates.length} roofs. The numbers are in the table below.`,
      roofs: roof.gemmRates.map(({ dtype, gflops }) => ({
        name: `${dtype} roof`,
        gflops,
        bandwidth: roof.bandwidth,
      })),
      points: computing.map(({ op, intensity, gflops }) => ({ name: op, intensity, gflops })),
    }),
    tables: [
      table({
        id: `${id}-table`,
        caption: `Achieved and attainable rates on ${roof.device}.`,
        head: [
          'operation',
          'shape',
          'dtype',
          'flops per byte',
          'GFLOP/s',
          'attainable',
          'share',
          'bound by',
          'µs a call',
          'repeats',
        ],
        rows: rows.map((row) => [
          row.op,
          words(row.shape),
          words(row.dtype),
          number(row.intensity, short),
          number(row.gflops, short),
          number(row.attainable, short),
          number(row.share, percent),
          words(row.bound === 'compute' ? 'arithmetic' : 'memory'),
          number(row.seconds * 1e6, short),
          number(row.repeats, grouped),
        ]),
      }),
    ],
  });
}
