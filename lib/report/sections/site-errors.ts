/** Errors of the solved sites of one run. */
import type { LayerStats } from '../../pruning/result';
import { lineChart } from '../charts/lines';
import { seriesStyle } from '../charts/style';
import { linearScale } from '../charts/ticks';
import { figure, lineLegend } from '../figure';
import type { Html } from '../html';
import { grouped, mark, short, time } from '../numbers';
import { number, table, words } from '../table';
import { blockScale, siteName, sitesWith } from './sites';

/** null where no error was measured: methods that only slice have none. */
export function errorFigure(stats: readonly LayerStats[]): Html | null {
  const series = sitesWith(stats)
    .map((site, i) => ({
      name: siteName(site),
      style: seriesStyle(i),
      points: stats.flatMap((one): [number, number][] =>
        one.site === site && one.relativeError !== null ? [[one.index, one.relativeError]] : [],
      ),
    }))
    .filter(({ points }) => points.length > 0);
  if (series.length === 0) return null;
  const errors = series.flatMap(({ points }) => points.map(([, error]) => error));
  const blocks = Math.max(...stats.map(({ index }) => index)) + 1;
  const title = 'Error of every site after its refit';
  return figure({
    title,
    caption:
      "Error of the site's output map as a share of its target's energy, on the calibration text.",
    chart: lineChart({
      id: 'errors-chart',
      title,
      description: `${series.length} lines over ${blocks} blocks. The numbers are in the table below.`,
      x: { name: 'block', scale: blockScale(blocks), format: String },
      y: { name: 'relative error', scale: linearScale(0, Math.max(...errors)), format: mark },
      series,
    }),
    legend: lineLegend(series),
    tables: [statsTable(stats)],
  });
}

function statsTable(stats: readonly LayerStats[]): Html {
  return table({
    id: 'errors-table',
    caption:
      'Every solved site. Energy: what removing a weight costs, the mean being 1; predicted: the loss that the survey expected; λ: the ridge as it was used.',
    head: [
      'block',
      'site',
      'groups',
      'removed',
      'energy',
      'predicted',
      'relative error',
      'λ',
      'swaps',
      'time',
    ],
    rows: stats.map((one) => [
      String(one.index),
      words(siteName(one.site)),
      number(one.groups, grouped),
      number(one.removed, grouped),
      number(one.energy, short),
      number(one.predicted, short),
      number(one.relativeError, short),
      number(one.lambda, short),
      number(one.swaps, grouped),
      number(one.seconds, time),
    ]),
  });
}
