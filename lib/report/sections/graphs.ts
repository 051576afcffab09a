/** A pruned ONNX graph beside a slice of as many parameters. */

import type { BenchGraphs } from '../../documents/bench';
import { graphRows } from '../../documents/graph-rows';
import { type Html, html } from '../html';
import { bytes, data, grouped, percent, short, times } from '../numbers';
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

export function graphsTable(graphs: BenchGraphs): Html {
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
