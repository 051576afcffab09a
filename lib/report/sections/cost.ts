/** Time and memory of every method at the chosen sparsity. */
import type { BenchQuality, BenchRow } from '../../documents/bench';
import { barChart } from '../charts/bars';
import { linearScale } from '../charts/ticks';
import { areaLegend, figure } from '../figure';
import { type Html, html } from '../html';
import { asked, grouped, MIB, mebibytes, time } from '../numbers';
import { number, table } from '../table';
import { focusOf } from './layers';
import { comparedMethods } from './perplexity';

const STAGES = [
  { key: 'survey', name: 'survey (shared by rows)', color: 'var(--series-5)' },
  { key: 'solve', name: 'allocate, solve, write', color: 'var(--series-0)' },
  { key: 'evaluate', name: 'measure', color: 'var(--series-6)' },
] as const;

export function costFigures(quality: BenchQuality): Html | null {
  const sparsity = focusOf(quality);
  const rows = comparedMethods(quality).flatMap(
    ({ id }) => quality.rows.find((row) => row.method === id && row.sparsity === sparsity) ?? [],
  );
  if (rows.length === 0) return null;
  return html`${timeFigure(rows, sparsity)}${memoryFigure(rows, sparsity)}`;
}

function timeFigure(rows: readonly BenchRow[], sparsity: number): Html {
  const totals = rows.map(({ seconds }) => seconds.survey + seconds.solve + seconds.evaluate);
  const title = `Time at ${asked(sparsity)}`;
  return figure({
    title,
    caption:
      'Seconds of one row from the dense model to its measured perplexity, by the clock: what else ran on the machine then counts too.',
    chart: barChart({
      id: 'time',
      title,
      description: `${rows.length} bars of three parts each. The numbers are in the table below.`,
      categories: rows.map(({ label }) => label),
      parts: STAGES.map(({ key, name, color }) => ({
        name,
        color,
        values: rows.map(({ seconds }) => seconds[key]),
      })),
      value: { name: 'seconds', scale: linearScale(0, Math.max(...totals)), format: grouped },
      labels: totals.map(time),
    }),
    legend: areaLegend(STAGES),
    tables: [
      table({
        id: 'time-table',
        caption: `Seconds at ${asked(sparsity)}.`,
        head: ['method', ...STAGES.map(({ name }) => name), 'together'],
        rows: rows.map(({ label, seconds }, i) => [
          label,
          ...STAGES.map(({ key }) => number(seconds[key], time)),
          number(totals[i], time),
        ]),
      }),
    ],
  });
}

function memoryFigure(all: readonly BenchRow[], sparsity: number): Html | null {
  const rows = all.filter(({ peakRssBytes }) => peakRssBytes !== null);
  if (rows.length === 0) return null;
  const sizes = rows.map(({ peakRssBytes }) => peakRssBytes! / MIB);
  const title = `Peak memory at ${asked(sparsity)}`;
  return figure({
    title,
    caption: 'Largest resident size of the whole process while the row was made.',
    chart: barChart({
      id: 'memory',
      title,
      description: `${rows.length} bars. The numbers are in the table below.`,
      categories: rows.map(({ label }) => label),
      parts: [{ name: 'peak', color: 'var(--series-0)', values: sizes }],
      value: { name: 'MiB', scale: linearScale(0, Math.max(...sizes)), format: grouped },
      labels: rows.map(({ peakRssBytes }) => mebibytes(peakRssBytes!)),
    }),
    tables: [
      table({
        id: 'memory-table',
        caption: `Peak resident size at ${asked(sparsity)}.`,
        head: ['method', 'peak memory'],
        rows: rows.map(({ label, peakRssBytes }) => [label, number(peakRssBytes, mebibytes)]),
      }),
    ],
  });
}
