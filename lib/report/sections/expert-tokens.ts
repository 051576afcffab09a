/** How many calibration tokens the experts of every block were routed. */
import { FEW, routedTokens } from '../../pruning/expert-tokens';
import type { LayerStats } from '../../pruning/result';
import { lineChart } from '../charts/lines';
import { seriesStyle } from '../charts/style';
import { linearScale } from '../charts/ticks';
import { figure, lineLegend } from '../figure';
import type { Html } from '../html';
import { grouped, mark } from '../numbers';
import { number, table } from '../table';
import { blockScale } from './sites';

const SPREAD = ['most', 'median', 'least'] as const;

/** null where no experts lose anything. */
export function expertTokensFigure(stats: readonly LayerStats[]): Html | null {
  const blocks = routedTokens(stats);
  if (blocks.length === 0) return null;
  const series = SPREAD.map((name, i) => ({
    name,
    style: seriesStyle(i),
    points: blocks.map((block): [number, number] => [block.index, block[name]]),
  }));
  const title = 'Calibration tokens that an expert was routed';
  return figure({
    title,
    caption:
      'Of every block: the expert with the most, the median, and the one with the least. What an expert is worth, and its refit, is known from these alone.',
    chart: lineChart({
      id: 'expert-tokens-chart',
      title,
      description: `Three lines over ${blocks.length} blocks. The numbers are in the table below.`,
      x: { name: 'block', scale: blockScale(blocks.at(-1)!.index + 1), format: String },
      y: {
        name: 'tokens',
        scale: linearScale(0, Math.max(1, ...blocks.map(({ most }) => most))),
        format: mark,
      },
      series,
    }),
    legend: lineLegend(series),
    tables: [
      table({
        id: 'expert-tokens-table',
        caption: 'Calibration tokens that the experts of every block were routed before any went.',
        head: ['block', 'experts', 'least', 'median', 'most', `with fewer than ${FEW}`],
        rows: blocks.map(({ index, experts, least, median, most, rare }) => [
          String(index),
          ...[experts, least, median, most, rare.length].map((one) => number(one, grouped)),
        ]),
      }),
    ],
  });
}
