/** What each ingredient of StruPrune is worth: perplexity of every ablation ÷ that of what it was taken from. */
import type { BenchMethod, BenchQuality } from '../../documents/bench';
import { dotChart } from '../charts/dots';
import { dotStyle } from '../charts/style';
import { linearScale } from '../charts/ticks';
import { figure, lineLegend } from '../figure';
import { type Html, html } from '../html';
import { asked, change, changeMark } from '../numbers';
import { rampColor } from '../palette';
import { baseOf, firstText, perplexityOf } from '../summary/choose';
import { number, table, words } from '../table';

/** Changes past this are drawn at the edge; the table has them as they are. */
const EDGE = 1.5;

interface Change {
  method: BenchMethod;
  /** By asked sparsity. */
  ratios: ReadonlyMap<number, number>;
}

export function ablationFigure(quality: BenchQuality): Html | null {
  const text = firstText(quality);
  const sparsities = [...quality.sparsities].sort((a, b) => a - b);
  const changes = quality.methods
    .map((method) => ({ method, ratios: ratiosOf(quality, method.id, text) }))
    .filter(({ ratios }) => ratios.size > 0)
    .sort((a, b) => lastOf(b, sparsities) - lastOf(a, sparsities));
  if (changes.length === 0) return null;
  const all = changes.flatMap(({ ratios }) => [...ratios.values()]);
  const top = Math.min(EDGE, Math.max(...all, 1.01));
  const further = changes.filter(({ ratios }) => [...ratios.values()].some((one) => one > top));
  const series = sparsities.map((sparsity, i) => ({
    name: asked(sparsity),
    style: dotStyle(i, rampColor(i, sparsities.length)),
    values: changes.map(({ ratios }) => {
      const ratio = ratios.get(sparsity);
      return ratio === undefined ? null : Math.min(ratio, top);
    }),
  }));
  const title = 'What each ingredient is worth';
  return figure({
    title,
    caption: html`Perplexity on ${text} with one ingredient taken out or exchanged, ÷ that of the method it was taken
from. At the right of zero the ingredient pays; at the left the change would. Ordered by the largest sparsity.${
      further.length === 0
        ? ''
        : ` At the edge, since further out: ${further.map(({ method }) => method.label).join(', ')}.`
    }`,
    chart: dotChart({
      id: 'ablations',
      title,
      description: `${changes.length} lines with a dot for each of ${sparsities.length} asked sparsities; zero is the unchanged method. The numbers are in the table below.`,
      categories: changes.map(({ method }) => method.label),
      series,
      value: {
        name: 'change of perplexity',
        scale: linearScale(Math.min(1, ...all), top),
        format: changeMark,
      },
      origin: 1,
    }),
    legend: lineLegend(series, { small: false }),
    tables: [
      table({
        id: 'ablations-table',
        caption: `Perplexity on ${text} ÷ that of the method it was taken from.`,
        head: ['change', ...sparsities.map(asked), 'of', 'what it is'],
        rows: changes.map(({ method, ratios }) => [
          method.label,
          ...sparsities.map((sparsity) => number(ratios.get(sparsity), change)),
          words(quality.methods.find(({ id }) => id === method.base)?.label),
          words(method.about, 'wrap'),
        ]),
      }),
    ],
  });
}

/** At the largest sparsity that it has. */
function lastOf({ ratios }: Change, sparsities: readonly number[]): number {
  return ratios.get(sparsities.findLast((one) => ratios.has(one))!)!;
}

function ratiosOf(quality: BenchQuality, method: string, text: string): Map<number, number> {
  const ratios = new Map<number, number>();
  for (const row of quality.rows) {
    const base = row.method === method ? baseOf(quality, row) : undefined;
    const ratio = base && perplexityOf(row, text) / perplexityOf(base, text);
    if (ratio !== undefined && Number.isFinite(ratio)) ratios.set(row.sparsity, ratio);
  }
  return ratios;
}
