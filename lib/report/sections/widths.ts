/** Widths of every block before and after one run. */
import { cutsChannels, reaches, type Scope } from '../../options/method';
import type { LayerResult, PruneResult } from '../../pruning/result';
import { lineChart } from '../charts/lines';
import { seriesStyle } from '../charts/style';
import { linearScale } from '../charts/ticks';
import { figure, lineLegend } from '../figure';
import type { Html } from '../html';
import { asked, grouped, percent } from '../numbers';
import { number, table } from '../table';
import { blockScale, siteName } from './sites';

const WIDTHS = [
  {
    site: 'ffn',
    before: (layer: LayerResult) => layer.ffnBefore,
    after: (layer: LayerResult) => layer.ffnAfter,
  },
  {
    site: 'attention',
    before: (layer: LayerResult) => layer.kvHeadsBefore,
    after: (layer: LayerResult) => layer.kvHeadsAfter,
  },
  {
    site: 'experts',
    before: (layer: LayerResult) => layer.expertsBefore,
    after: (layer: LayerResult) => layer.expertsAfter,
  },
] as const;

export function widthsFigure({ layers, scope, sparsity }: PruneResult): Html {
  const there = WIDTHS.filter(
    ({ site, before }) => site !== 'experts' || layers.some((layer) => before(layer) > 0),
  );
  const series = there
    .filter(({ site }) =>
      site === 'ffn' ? cutsChannels(scope as Scope) : reaches(scope as Scope, site),
    )
    .map(({ site, before, after }, i) => ({
      name: siteName(site),
      style: seriesStyle(i),
      points: layers.map((layer): [number, number] => [
        layer.index,
        before(layer) === 0 ? 0 : 1 - after(layer) / before(layer),
      ]),
    }));
  const shares = series.flatMap(({ points }) => points.map(([, share]) => share));
  const title = 'Share of every block that was removed';
  return figure({
    title,
    caption: `The first block is at the left; ${percent(sparsity)} of all linear weights went.`,
    chart: lineChart({
      id: 'widths',
      title,
      description: `${series.length} lines over ${layers.length} blocks. The numbers are in the table below.`,
      x: { name: 'block', scale: blockScale(layers.length), format: String },
      y: { name: 'removed', scale: linearScale(0, Math.max(0.05, ...shares)), format: asked },
      series,
    }),
    legend: lineLegend(series),
    tables: [
      table({
        id: 'widths-table',
        caption: 'Widths of every block before and after.',
        head: [
          'block',
          ...there.flatMap(({ site }) => [`${siteName(site)} before`, 'after', 'removed']),
        ],
        rows: layers.map((layer) => [
          String(layer.index),
          ...there.flatMap(({ before, after }) => [
            number(before(layer), grouped),
            number(after(layer), grouped),
            number(before(layer) === 0 ? null : 1 - after(layer) / before(layer), percent),
          ]),
        ]),
      }),
    ],
  });
}
