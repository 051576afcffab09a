/** Peak memory of runs over growing models or shrinking budgets. */
import type { BenchMemory, BenchMemoryRow } from '../../documents/bench';
import { lineChart } from '../charts/lines';
import { bareLine, seriesStyle } from '../charts/style';
import { logScale } from '../charts/ticks';
import { figure, lineLegend } from '../figure';
import { type Html, html } from '../html';
import { data, grouped, MIB, mark, mebibytes, million, percent, short, time } from '../numbers';
import { number, table, words } from '../table';

/** Of a model that is wholly in memory in single precision. */
const WHOLE_MODEL_BYTES = 4;

/** How memory grows, and whether every budget held. */
export function memorySummary(memory: BenchMemory): Html {
  const { slope, layerSlope, rows } = memory;
  const shares = rows.flatMap((row) => budgetShare(row, memory) ?? []);
  const worst = shares.length ? Math.max(...shares) : null;
  const held =
    worst === null
      ? null
      : html`<p>The process tree took at most ${data(worst, percent)} of its budget above an idle Node.</p>`;
  if (slope === null) return html`${held}`;
  return html`<p>At the smallest budgets memory grows with the parameters to the power of
${data(slope, short)}${layerSlope === null ? '' : html`, a layer at a time to that of ${data(layerSlope, short)}`}; a whole model in memory: 1.</p>${held}`;
}

export function memoryFigures(memory: BenchMemory): Html {
  const sizes = new Set(memory.rows.map(({ parameters }) => parameters));
  return html`${sizes.size > 1 ? growthFigure(memory) : null}
<div class="card">${memoryTable(memory)}</div>`;
}

/** Peak above idle ÷ budget. */
function budgetShare({ peakBytes, budgetBytes }: BenchMemoryRow, { idleBytes }: BenchMemory) {
  if (peakBytes === null || budgetBytes === null || idleBytes === null) return null;
  return (peakBytes - idleBytes) / budgetBytes;
}

function growthFigure({ rows, idleBytes, constantBytes }: BenchMemory): Html {
  const line = (chosen: readonly BenchMemoryRow[], read: (row: BenchMemoryRow) => number | null) =>
    [...chosen]
      .sort((a, b) => a.parameters - b.parameters)
      .flatMap((row): [number, number][] => {
        const value = read(row);
        return value === null || value <= 0 ? [] : [[row.parameters, value / MIB]];
      });
  const known = idleBytes !== null && constantBytes !== null;
  const smallest = rows.filter((row) => row.smallest);
  const free = rows.filter(({ budgetBytes }) => budgetBytes === null);
  const series = [
    {
      name: 'smallest budget',
      points: line(smallest, ({ peakBytes }) =>
        known && peakBytes !== null ? peakBytes - idleBytes - constantBytes : null,
      ),
      style: seriesStyle(0),
    },
    {
      name: 'a layer at a time',
      points: line(free, ({ nativePeakBytes }) => nativePeakBytes),
      style: seriesStyle(1),
    },
    {
      name: 'whole model (4 bytes a parameter)',
      points: line(smallest, ({ parameters }) => WHOLE_MODEL_BYTES * parameters),
      style: bareLine('var(--soft)'),
    },
  ].filter(({ points }) => points.length > 1);
  const values = series.flatMap(({ points }) => points.map(([, y]) => y));
  if (values.length === 0) return html``;
  const parameters = [...new Set(rows.map((row) => row.parameters))].sort((a, b) => a - b);
  const title = 'Peak memory against the size of the model';
  return figure({
    title,
    caption:
      'Smallest budget: the process tree, less an idle Node and what the embedded model takes. A layer at a time: native peak of a run without a budget. Both scales are logarithmic.',
    chart: lineChart({
      id: 'growth',
      title,
      description: `${series.length} lines over ${parameters.length} models. The numbers are in the table below.`,
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

function memoryTable(memory: BenchMemory): Html {
  return table({
    id: 'memory-rows',
    caption:
      'Every run. Of budget: the process tree above an idle Node ÷ budget. Held to: the limit of a control group in which the run came to its end; charged: the most that the kernel counted there, its cache of files included. Equal hashes: the budget did not change the output.',
    head: [
      'run',
      'parameters',
      'blocks',
      'width',
      'tokens',
      'budget',
      'native peak',
      'process tree',
      'of budget',
      'held to',
      'charged',
      'scratch',
      'read',
      'written',
      'time',
      'SHA-256',
    ],
    rows: memory.rows.map((row) => [
      row.label,
      number(row.parameters, grouped),
      number(row.blocks, grouped),
      number(row.hidden, grouped),
      number(row.calibrationTokens, grouped),
      row.budgetBytes === null ? 'none' : number(row.budgetBytes, mebibytes),
      number(row.nativePeakBytes, mebibytes),
      number(row.peakBytes, mebibytes),
      number(budgetShare(row, memory), percent),
      number(row.limitBytes, mebibytes),
      number(row.chargedBytes, mebibytes),
      number(row.scratchBytes, mebibytes),
      number(row.scratchReadBytes, mebibytes),
      number(row.scratchWrittenBytes, mebibytes),
      number(row.seconds, time),
      words(row.sha256.slice(0, 12)),
    ]),
  });
}
