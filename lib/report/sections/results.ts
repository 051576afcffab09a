/** Every row of the benchmark with everything that was measured on it. */
import type { BenchQuality } from '../../documents/bench';
import { type Html, html } from '../html';
import {
  asked,
  bytes,
  data,
  grouped,
  mebibytes,
  percent,
  perplexity,
  short,
  time,
} from '../numbers';
import { number, table } from '../table';

export function resultsTable(quality: BenchQuality): Html {
  const texts = quality.texts.map(({ name }) => name);
  const order = new Map(quality.methods.map(({ id }, i) => [id, i]));
  const rows = [...quality.rows].sort(
    (a, b) => a.sparsity - b.sparsity || order.get(a.method)! - order.get(b.method)!,
  );
  const head = [
    'method',
    'asked',
    'removed',
    'of the file',
    'parameters',
    'weight files',
    ...texts.flatMap((text) => [
      html`perplexity<br>${text}`,
      html`KL to dense<br>${text}`,
      html`top-1 as dense<br>${text}`,
    ]),
    'survey',
    'solve',
    'measure',
    'peak memory',
  ];
  return html`<div class="card"><details><summary>All ${rows.length} rows, with everything that was measured</summary>
${table({
  id: 'results-table',
  caption:
    "Removed: of the blocks' linear weights. KL in nats per token. Seconds of the survey, of allocation, solve and write, and of measuring the file as opened again.",
  head,
  rows: rows.map((row) => [
    row.label,
    number(row.sparsity, asked),
    number(row.achieved, percent),
    number(row.fileSparsity, percent),
    number(row.parameters, grouped),
    number(row.fileBytes, bytes),
    ...texts.flatMap((text) => {
      const on = row.texts.find((one) => one.text === text);
      return [
        number(on?.perplexity, perplexity),
        number(on?.klToDense, short),
        number(on?.top1Agreement, percent),
      ];
    }),
    number(row.seconds.survey || null, time),
    number(row.seconds.solve, time),
    number(row.seconds.evaluate, time),
    number(row.peakRssBytes, mebibytes),
  ]),
})}
<p>Dense model: ${quality.dense.perplexities.map(
    ({ text, perplexity: value }, i) =>
      html`${i > 0 ? ', ' : ''}${data(value, perplexity)} on ${text}`,
  )}; measured in ${data(quality.dense.seconds, time)}.</p>
</details></div>`;
}
