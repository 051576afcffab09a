/** What each ingredient of StruPrune is worth: perplexity of every ablation ÷ that of what it was taken from. */
import type { BenchQuality } from '../../bench/schema';
import { lineChart } from '../charts/lines';
import { seriesStyle } from '../charts/style';
import { linearScale } from '../charts/ticks';
import { figure, lineLegend } from '../figure';
import { type Html, html } from '../html';
import { asked, change, changeMark } from '../numbers';
import { baseOf, firstText, perplexityOf } from '../summary/choose';
import { number, table, words } from '../table';

/** Changes past this are drawn at the edge; the table has them as they are. */
const EDGE = 1.5;

export function ablationFigure(quality: BenchQuality): Html | null {
  const text = firstText(quality);
  const ablations = quality.methods.filter(({ kind }) => kind === 'ablation');
  const series = ablations.flatMap(({ id, label }, i) => {
    const points = ratiosOf(quality, id, text);
    return points.length === 0 ? [] : [{ id, name: label, style: seriesStyle(i), points }];
  });
  if (series.length === 0) return null;
  const ratios = series.flatMap(({ points }) => points.map(([, ratio]) => ratio));
  const top = Math.min(EDGE, Math.max(...ratios));
  const leaving = series.filter(({ points }) => points.some(([, ratio]) => ratio > top));
  const sparsities = [...quality.sparsities].sort((a, b) => a - b);
  const title = 'What each ingredient is worth';
  const bases = [...new Set(ablations.map(({ base }) => base))].map(
    (base) => quality.methods.find(({ id }) => id === base)?.label ?? base ?? '',
  );
  return figure({
    title,
    caption: html`Perplexity on ${text} with one ingredient taken out or exchanged, against
${bases.join(' and ')}. Above zero the ingredient pays; below, the change would.${
      leaving.length === 0 ? '' : ` Off the top: ${leaving.map(({ name }) => name).join(', ')}.`
    }`,
    chart: lineChart({
      id: 'ablations',
      title,
      description: `${series.length} lines over the asked sparsity; zero is the unchanged method. The numbers are in the table below.`,
      x: { name: 'asked sparsity', scale: linearScale(0, Math.max(...sparsities)), format: asked },
      y: {
        name: 'change of perplexity',
        scale: linearScale(Math.min(1, ...ratios), Math.max(top, 1.01)),
        format: changeMark,
      },
      series,
      levels: [{ value: 1, label: '' }],
    }),
    legend: lineLegend(series),
    tables: [
      table({
        id: 'ablations-table',
        caption: `Perplexity on ${text} ÷ that of the method it was taken from.`,
        head: ['change', ...sparsities.map(asked), 'what it is'],
        rows: series.map(({ id, name, points }) => [
          name,
          ...sparsities.map((sparsity) =>
            number(points.find(([x]) => x === sparsity)?.[1], change),
          ),
          words(quality.methods.find((method) => method.id === id)?.about, 'wrap'),
        ]),
      }),
    ],
  });
}

/** Asked sparsity and ratio, ascending. */
function ratiosOf(quality: BenchQuality, method: string, text: string): [number, number][] {
  return quality.rows
    .filter((row) => row.method === method)
    .flatMap((row): [number, number][] => {
      const base = baseOf(quality, row);
      if (!base) return [];
      const ratio = perplexityOf(row, text) / perplexityOf(base, text);
      return Number.isFinite(ratio) ? [[row.sparsity, ratio]] : [];
    })
    .sort(([a], [b]) => a - b);
}
