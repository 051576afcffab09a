/** Where the weights go: the removed share of every block, for each allocation, at one sparsity. */
import type { BenchLayer, BenchQuality, BenchRow } from '../../documents/bench';
import { lineChart } from '../charts/lines';
import { seriesStyle } from '../charts/style';
import { linearScale } from '../charts/ticks';
import { figure, lineLegend } from '../figure';
import { type Html, html } from '../html';
import { asked, percent } from '../numbers';
import { choose } from '../summary/choose';
import { number, table } from '../table';
import { comparedMethods } from './perplexity';
import { blockScale, siteName, sitesWith } from './sites';

export function layerFigures(quality: BenchQuality): Html | null {
  const sparsity = focusOf(quality);
  const rows = comparedMethods(quality).flatMap((method, i) => {
    const row = quality.rows.find((one) => one.method === method.id && one.sparsity === sparsity);
    return row ? [{ row, style: seriesStyle(i, method.kind !== 'baseline') }] : [];
  });
  const layers = rows.flatMap(({ row }) => row.layers);
  const present = sitesWith(layers).filter((site) => layers.some((layer) => layer.site === site));
  if (present.length === 0) return null;
  return html`${present.map((site) => siteFigure(quality, sparsity, rows, site))}`;
}

/** The sparsity that single-sparsity figures show: the chosen one. */
export function focusOf(quality: BenchQuality): number {
  return choose(quality)?.row.sparsity ?? quality.sparsities[0] ?? 0;
}

type Styled = { row: BenchRow; style: ReturnType<typeof seriesStyle> };

function siteFigure(
  quality: BenchQuality,
  sparsity: number,
  rows: readonly Styled[],
  site: BenchLayer['site'],
): Html {
  const series = distinct(rows, site);
  const name = siteName(site);
  const title = `${name} removed in each block at ${asked(sparsity)}`;
  const shares = series.flatMap(({ points }) => points.map(([, share]) => share));
  return figure({
    title,
    caption: 'The first block is at the left. Methods that remove the same share one line.',
    chart: lineChart({
      id: `layers-${site}`,
      title,
      description: `${series.length} lines over the ${quality.model.blocks} blocks. The numbers are in the table below.`,
      x: { name: 'block', scale: blockScale(quality.model.blocks), format: String },
      y: { name: 'removed', scale: linearScale(0, Math.max(0.05, ...shares)), format: asked },
      series,
    }),
    legend: lineLegend(series),
    tables: quality.sparsities.map((one) => shareTable(quality, one, site)),
  });
}

/** Rows that remove the same in every block are one line. */
function distinct(rows: readonly Styled[], site: BenchLayer['site']) {
  const shapes = new Map<string, Styled[]>();
  for (const styled of rows) {
    const shape = JSON.stringify(sharesOf(styled.row, site));
    shapes.set(shape, [...(shapes.get(shape) ?? []), styled]);
  }
  return [...shapes.values()].map((alike) => {
    const [{ row, style }, ...others] = alike as [Styled, ...Styled[]];
    const points = sharesOf(row, site);
    const even = new Set(points.map(([, share]) => share)).size === 1;
    const name = others.length === 0 ? row.label : `${row.label} and ${others.length} more`;
    return { name: even && others.length > 0 ? 'the same everywhere' : name, style, points };
  });
}

function sharesOf(row: BenchRow, site: BenchLayer['site']): [number, number][] {
  return row.layers
    .filter((layer) => layer.site === site)
    .map(({ block, share }): [number, number] => [block, share]);
}

function shareTable(quality: BenchQuality, sparsity: number, site: BenchLayer['site']): Html {
  const rows = comparedMethods(quality).flatMap(({ id }) =>
    quality.rows.filter((row) => row.method === id && row.sparsity === sparsity),
  );
  return table({
    id: `layers-${site}-${Math.round(sparsity * 1000)}-table`,
    caption: `${siteName(site)} removed in each block at ${asked(sparsity)}.`,
    head: ['block', ...rows.map(({ label }) => label)],
    rows: Array.from({ length: quality.model.blocks }, (_, block) => [
      String(block),
      ...rows.map((row) =>
        number(row.layers.find((one) => one.block === block && one.site === site)?.share, percent),
      ),
    ]),
  });
}
