/** Perplexity against sparsity: one figure a text, every method a line. */
import type { BenchMethod, BenchQuality } from '../../documents/bench';
import { lineChart } from '../charts/lines';
import { seriesStyle } from '../charts/style';
import { linearScale, logScale } from '../charts/ticks';
import { figure, lineLegend } from '../figure';
import { type Html, html } from '../html';
import { asked, mark, perplexity } from '../numbers';
import { densePerplexity, LIMIT, perplexityOf, ranked } from '../summary/choose';
import { number, table } from '../table';

const ALLOWED = `${Math.round((LIMIT - 1) * 100)} %`;

/** A line may rise to this many times the best perplexity of the largest sparsity that has one. */
const HEADROOM = 3;

export function perplexityFigures(quality: BenchQuality): Html {
  if (comparedMethods(quality).length === 0) return html``;
  return html`${quality.texts.map(({ name }, i) => perplexityFigure(quality, name, i))}`;
}

/**
 * StruPrune's first, so that they have the first colours. Ablations have a figure of their own, unless nothing else
 * was measured.
 */
export function comparedMethods({ methods, rows }: BenchQuality): BenchMethod[] {
  const measured = methods.filter(({ id }) => rows.some(({ method }) => method === id));
  const of = (kind: BenchMethod['kind']) => measured.filter((method) => method.kind === kind);
  const compared = [...of('struprune'), ...of('baseline')];
  return compared.length > 0 ? compared : measured;
}

function perplexityFigure(quality: BenchQuality, text: string, at: number): Html {
  const dense = densePerplexity(quality, text);
  const series = comparedMethods(quality).map((method, i) => ({
    name: method.label,
    style: seriesStyle(i, method.kind !== 'baseline'),
    points: [[0, dense] as const, ...pointsOf(quality, method.id, text)],
  }));
  const all = series.flatMap(({ points }) => points);
  const best = [...quality.sparsities]
    .sort((a, b) => b - a)
    .flatMap((sparsity) => ranked(quality, sparsity, text).slice(0, 1))[0];
  const high = Math.max(...all.map(([, y]) => y).filter(Number.isFinite));
  const top = best ? Math.min(high, HEADROOM * perplexityOf(best, text)) : high;
  const leaving = series.filter(({ points }) => points.some(([, y]) => y > top));
  const id = `perplexity-${at}`;
  const title = `Perplexity on ${text}`;
  return figure({
    title,
    caption: html`Lower is better; a logarithmic scale. Solid: StruPrune; dashed, with dots between where colours come again: other methods. Dotted: the dense model,
${perplexity(dense)}, and ${ALLOWED} above it.${
      leaving.length === 0
        ? ''
        : ` Beyond the top, in the table: ${leaving.map(({ name }) => name).join(', ')}.`
    }`,
    chart: lineChart({
      id,
      title,
      description: `${series.length} lines over the removed share of the blocks' linear weights, from ${perplexity(dense)} for the dense model. The numbers are in the table below.`,
      x: {
        name: "removed share of the blocks' linear weights",
        scale: linearScale(0, Math.max(...all.map(([x]) => x))),
        format: asked,
      },
      y: {
        name: 'perplexity',
        log: true,
        scale: logScale(dense, Math.max(top, dense * LIMIT)),
        format: mark,
      },
      series,
      levels: [
        { value: dense, label: '' },
        { value: dense * LIMIT, label: `+${ALLOWED}` },
      ],
      height: 420,
    }),
    legend: lineLegend(series),
    tables: [perplexityTable(quality, text, id)],
  });
}

/** Achieved sparsity and perplexity, ascending; rows without a finite perplexity are in the table alone. */
function pointsOf({ rows }: BenchQuality, method: string, text: string): [number, number][] {
  return rows
    .filter((row) => row.method === method)
    .map((row): [number, number] => [row.achieved, perplexityOf(row, text)])
    .filter(([, y]) => Number.isFinite(y))
    .sort(([a], [b]) => a - b);
}

function perplexityTable(quality: BenchQuality, text: string, id: string): Html {
  const sparsities = [...quality.sparsities].sort((a, b) => a - b);
  const best = sparsities.map((sparsity) => ranked(quality, sparsity, text)[0]);
  return table({
    id: `${id}-table`,
    caption: `Perplexity on ${text} by asked sparsity; the dense model has ${perplexity(densePerplexity(quality, text))}. Bold: the best of a column.`,
    head: ['method', ...sparsities.map(asked)],
    rows: comparedMethods(quality).map(({ id: method, label }) => [
      label,
      ...sparsities.map((sparsity, i) => {
        const row = quality.rows.find((one) => one.method === method && one.sparsity === sparsity);
        if (!row) return '–';
        const value = row.texts.find((one) => one.text === text)?.perplexity;
        return number(value, perplexity, row === best[i] ? 'best' : undefined);
      }),
    ]),
  });
}
