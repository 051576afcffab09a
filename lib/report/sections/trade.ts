/** Quality against time: every method a dot, and the lower edge of them. */
import type { BenchQuality } from '../../documents/bench';
import { lineChart } from '../charts/lines';
import { bareLine, type SeriesStyle, seriesStyle } from '../charts/style';
import { linearScale, logScale } from '../charts/ticks';
import { figure, lineLegend } from '../figure';
import { type Html, html } from '../html';
import { asked, grouped, mark, perplexity, time } from '../numbers';
import { perplexityOf } from '../summary/choose';
import { number, table } from '../table';
import { focusOf } from './layers';
import { comparedMethods } from './perplexity';

/** Fewer rows are no choice. */
const LEAST_ROWS = 3;

interface Dot {
  name: string;
  style: SeriesStyle;
  seconds: number;
  perplexity: number;
}

export function tradeFigure(quality: BenchQuality): Html | null {
  const sparsity = focusOf(quality);
  const [text] = quality.texts;
  if (!text) return null;
  const dots = comparedMethods(quality).flatMap((method, i): Dot[] => {
    const row = quality.rows.find((one) => one.method === method.id && one.sparsity === sparsity);
    if (!row || !Number.isFinite(perplexityOf(row, text.name))) return [];
    return [
      {
        name: row.label,
        style: seriesStyle(i, method.kind !== 'baseline'),
        seconds: row.seconds.survey + row.seconds.solve,
        perplexity: perplexityOf(row, text.name),
      },
    ];
  });
  if (dots.length < LEAST_ROWS) return null;
  const edge = lowerEdge(dots);
  const best = edge.at(-1)!.perplexity;
  const shown = dots.filter((dot) => dot.perplexity <= 3 * best);
  const title = `Quality against time at ${asked(sparsity)}`;
  return figure({
    title,
    caption: html`Further left took less time, further down lost less on ${text.name}, on a logarithmic scale. The line is the lower edge: what no other row beats in both. Seconds are by the clock, the survey's among them.${
      shown.length < dots.length
        ? ' Beyond the top, in the table: more than three times the best.'
        : ''
    }`,
    chart: lineChart({
      id: 'trade',
      title,
      description: `${shown.length} dots, perplexity over seconds, and a line through the best of them. The numbers are in the table below.`,
      x: {
        name: 'seconds',
        scale: linearScale(0, Math.max(...shown.map(({ seconds }) => seconds))),
        format: grouped,
      },
      y: {
        name: 'perplexity',
        log: true,
        scale: logScale(best, Math.max(...shown.map((dot) => dot.perplexity))),
        format: mark,
      },
      series: [
        {
          name: 'lower edge',
          style: bareLine('var(--soft)'),
          labelled: false,
          points: edge.map((dot) => [dot.seconds, dot.perplexity] as const),
        },
        ...shown.map((dot) => ({
          name: dot.name,
          style: dot.style,
          labelled: false,
          points: [[dot.seconds, dot.perplexity]] as const,
        })),
      ],
      height: 420,
    }),
    legend: lineLegend(shown, { small: false }),
    tables: [
      table({
        id: 'trade-table',
        caption: `Seconds of survey and solve, and perplexity on ${text.name}, at ${asked(sparsity)}. Bold: on the lower edge.`,
        head: ['method', 'time', 'perplexity'],
        rows: dots.map((dot) => [
          dot.name,
          number(dot.seconds, time),
          number(dot.perplexity, perplexity, edge.includes(dot) ? 'best' : undefined),
        ]),
      }),
    ],
  });
}

/** Those that nothing beats in both, ascending in time. */
function lowerEdge(dots: readonly Dot[]): Dot[] {
  const edge: Dot[] = [];
  for (const dot of [...dots].sort(
    (a, b) => a.seconds - b.seconds || a.perplexity - b.perplexity,
  )) {
    if (edge.length === 0 || dot.perplexity < edge.at(-1)!.perplexity) edge.push(dot);
  }
  return edge;
}
