/** Peak memory of runs over growing models or shrinking budgets. */
import type { BenchDocument } from '../../bench/schema';
import { lineChart } from '../charts/lines';
import { seriesStyle } from '../charts/style';
import { logScale } from '../charts/ticks';
import { figure, lineLegend } from '../figure';
import { type Html, html } from '../html';
import { grouped, mark, mebibytes, million, short, time } from '../numbers';
import { number, table, words } from '../table';

type MemoryRow = NonNullable<BenchDocument['memory']>['rows'][number];

const MIB = 2 ** 20;

export function memoryFigures(rows: readonly MemoryRow[]): Html {
  const sizes = new Set(rows.map(({ parameters }) => parameters));
  return html`${sizes.size > 1 ? growthFigure(rows) : null}
<div class="card">${memoryTable(rows)}</div>`;
}

function growthFigure(rows: readonly MemoryRow[]): Html {
  const free = rows
    .filter(({ budgetBytes }) => budgetBytes === null)
    .sort((a, b) => a.parameters - b.parameters);
  const of = (read: (row: MemoryRow) => number | null) =>
    free.flatMap((row): [number, number][] => {
      const value = read(row);
      return value === null || value <= 0 ? [] : [[row.parameters, value / MIB]];
    });
  const series = [
    { name: 'whole process', points: of((row) => row.peakRssBytes), style: seriesStyle(0) },
    { name: 'native, peak', points: of((row) => row.nativePeakBytes), style: seriesStyle(1) },
  ].filter(({ points }) => points.length > 1);
  const values = series.flatMap(({ points }) => points.map(([, y]) => y));
  if (values.length === 0) return html``;
  const parameters = free.map((row) => row.parameters);
  const title = 'Peak memory against the size of the model';
  return figure({
    title,
    caption: 'Runs without a budget; both scales are logarithmic.',
    chart: lineChart({
      id: 'growth',
      title,
      description: `${series.length} lines over ${free.length} models. The numbers are in the table below.`,
      x: {
        name: 'parameters',
        log: true,
        scale: logScale(Math.min(...parameters), Math.max(...parameters)),
        format: million,
      },
      y: {
        name: 'MiB',
        log: true,
        scale: logScale(Math.min(...values), Math.max(...values)),
        format: mark,
      },
      series,
    }),
    legend: lineLegend(series),
    tables: [
      table({
        id: 'growth-table',
        caption: 'Peak memory in MiB.',
        head: ['parameters', ...series.map(({ name }) => name)],
        rows: parameters.map((count) => [
          million(count),
          ...series.map(({ points }) => number(points.find(([x]) => x === count)?.[1], short)),
        ]),
      }),
    ],
  });
}

function memoryTable(rows: readonly MemoryRow[]): Html {
  return table({
    id: 'memory-rows',
    caption: 'Every run. Equal hashes: the budget did not change the output.',
    head: [
      'run',
      'parameters',
      'blocks',
      'width',
      'tokens',
      'budget',
      'native peak',
      'whole process',
      'scratch',
      'time',
      'SHA-256',
    ],
    rows: rows.map((row) => [
      row.label,
      number(row.parameters, grouped),
      number(row.blocks, grouped),
      number(row.hidden, grouped),
      number(row.calibrationTokens, grouped),
      row.budgetBytes === null ? 'none' : number(row.budgetBytes, mebibytes),
      number(row.nativePeakBytes, mebibytes),
      number(row.peakRssBytes, mebibytes),
      number(row.scratchBytes, mebibytes),
      number(row.seconds, time),
      words(row.sha256?.slice(0, 12) ?? '–'),
    ]),
  });
}
