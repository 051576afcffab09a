/** A pruned ONNX graph beside a slice of as many parameters. */

import type { BenchGraphs } from '../../documents/bench';
import { type GraphLine, graphRows } from '../../documents/graph-rows';
import { lineChart } from '../charts/lines';
import { bareLine, seriesStyle } from '../charts/style';
import { linearScale, logScale } from '../charts/ticks';
import { figure, lineLegend } from '../figure';
import { type Html, html } from '../html';
import { asked, bytes, data, grouped, mark, percent, short, time, times } from '../numbers';
import { number, table } from '../table';

export function graphsSummary({ rows }: BenchGraphs): Html {
  const pairs = rows.filter(({ method }) => method === 'refit');
  return html`${pairs.map((ours) => {
    const rival = rows.find(
      ({ method, sparsity }) => method === 'slice-l2' && sparsity === ours.sparsity,
    );
    return html`<p>Without ${data(ours.sparsity, percent)} of its maps' weights the graph loses ${data(ours.loss, short)}${
      rival
        ? html`, a slice by L2 norm of at most as many parameters ${data(rival.loss, short)}`
        : ''
    }.</p>`;
  })}`;
}

/** Losses, with the table of all numbers, and speed-ups. */
export function graphFigures(graphs: BenchGraphs): Html {
  const [dense, ...lines] = graphRows(graphs);
  return html`${lossFigure(graphs, dense!, lines) ?? rowsTable(graphs)}${speedFigure(graphs, dense!, lines)}`;
}

/** Only positive losses have a place on a logarithmic scale; null where none is. */
function lossFigure(
  graphs: BenchGraphs,
  dense: GraphLine,
  lines: readonly GraphLine[],
): Html | null {
  const shown = lines.filter(({ loss }) => loss > 0);
  if (shown.length === 0) return null;
  const labels = [...new Set(shown.map(({ label }) => label))];
  const series = labels.map((name, i) => ({
    ...{ name, style: seriesStyle(i, i === 0) },
    points: ascending(
      shown
        .filter(({ label }) => label === name)
        .map((one) => [1 - one.parameters / dense.parameters, one.loss]),
    ),
  }));
  const losses = shown.map(({ loss }) => loss);
  const title = 'Loss against what was removed';
  return figure({
    title,
    caption: html`Lower is better; a logarithmic scale. Further right is a smaller file. On ${data(graphs.evaluationSamples, grouped)} samples that calibrated nothing.`,
    chart: lineChart({
      id: 'graph-losses',
      title,
      description: `${series.length} lines, the loss to the dense graph over the removed share of its parameters. The numbers are in the table below.`,
      x: {
        name: 'removed share of the parameters',
        scale: linearScale(0, Math.max(...series.flatMap(({ points }) => points.map(([x]) => x)))),
        format: asked,
      },
      y: {
        ...{ name: 'loss', log: true, format: mark },
        scale: logScale(Math.min(...losses), Math.max(...losses)),
      },
      series,
    }),
    legend: lineLegend(series),
    tables: [rowsTable(graphs)],
  });
}

/** Of what was pruned here; null where nothing was. */
function speedFigure(
  { rows }: BenchGraphs,
  dense: GraphLine,
  lines: readonly GraphLine[],
): Html | null {
  const points = rows.flatMap(({ method, pruneSeconds }, i) => {
    const { sparsity, multiplyAdds, faster } = lines[i]!;
    const fewer = dense.multiplyAdds / multiplyAdds;
    return method === 'refit' ? [{ sparsity, pruneSeconds, fewer, faster }] : [];
  });
  if (points.length === 0) return null;
  const most = Math.max(...points.map(({ fewer }) => fewer));
  const ratios = points.flatMap(({ faster }) => faster);
  const series = ['1 thread', '2 threads'].map((name, i) => ({
    ...{ name, style: seriesStyle(i) },
    points: ascending([[1, 1], ...points.map(({ fewer, faster }) => [fewer, faster[i]!] as const)]),
  }));
  const title = 'Times as fast as the dense graph';
  return figure({
    title,
    caption:
      'Pruned and refitted, in onnxruntime on this machine, over how many times fewer multiply-adds there are. The thin line: as many times as fast.',
    chart: lineChart({
      id: 'graph-speed',
      title,
      description: `${series.length} lines over the ratio of multiply-adds. The numbers are in the table below.`,
      x: { name: 'times fewer multiply-adds', scale: linearScale(1, most), format: times },
      y: {
        name: 'times as fast',
        scale: linearScale(Math.min(1, ...ratios), Math.max(most, ...ratios)),
        format: times,
      },
      series: [
        {
          ...{ name: 'as fast', style: bareLine('var(--soft)'), labelled: false },
          points: [
            [1, 1],
            [most, most],
          ],
        },
        ...series,
      ],
    }),
    legend: lineLegend(series),
    tables: [
      table({
        id: 'graph-speed-table',
        caption: 'Multiply-adds and time of the dense graph ÷ those of the pruned one.',
        head: ['weights removed', 'multiply-adds', '1 thread', '2 threads', 'time to prune'],
        rows: points.map(({ sparsity, fewer, faster, pruneSeconds }) => [
          asked(sparsity),
          ...[fewer, ...faster].map((ratio) => number(ratio, times)),
          number(pruneSeconds, time),
        ]),
      }),
    ],
  });
}

function ascending(points: readonly (readonly [number, number])[]) {
  return [...points].sort(([a], [b]) => a - b);
}

function rowsTable(graphs: BenchGraphs): Html {
  const kinds = graphs.losses.map(({ output, kind }) => `${output}: ${kind}`).join(', ');
  return table({
    id: 'graph-rows',
    caption: `On ${grouped(graphs.evaluationSamples)} samples that calibrated nothing. Losses to the dense graph: ${kinds}. Faster: time of the dense graph in onnxruntime ÷ that of this one.`,
    head: [
      ...['graph', 'asked', 'parameters', 'file', 'loss', 'same first choice', 'multiply-adds'],
      ...['faster, 1 thread', '2 threads'],
    ],
    rows: graphRows(graphs).map(({ label, sparsity, faster, ...one }) => [
      label,
      number(sparsity, percent),
      number(one.parameters, grouped),
      number(one.fileBytes, bytes),
      number(one.loss, short),
      number(one.agreement, percent),
      number(one.multiplyAdds, grouped),
      ...faster.map((ratio) => number(ratio, times)),
    ]),
  });
}
