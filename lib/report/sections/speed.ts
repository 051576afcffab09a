/** The pruned checkpoint against the dense one in a real runtime. */
import type { BenchSpeed } from '../../bench/schema';
import { counted } from '../../numbers';
import { barChart } from '../charts/bars';
import { linearScale } from '../charts/ticks';
import { figure } from '../figure';
import { type Html, html } from '../html';
import { bytes, data, grouped, short, times } from '../numbers';
import { number, table } from '../table';

const KINDS = [
  { key: 'promptPerSecond', name: 'Prompt', ratio: 'prompt', allowed: 'promptAllowed' },
  {
    key: 'generationPerSecond',
    name: 'Generation',
    ratio: 'generation',
    allowed: 'generationAllowed',
  },
] as const;

export function speedSummary({ runtime, ratios }: BenchSpeed): Html {
  return html`<p>In ${runtime} the pruned model reads a prompt ${data(ratios.prompt, times)} as fast as the dense one
(the removed arithmetic allows ${data(ratios.promptAllowed, times)}) and writes tokens
${data(ratios.generation, times)} as fast (the removed bytes allow ${data(ratios.generationAllowed, times)}).</p>`;
}

export function speedFigures(speed: BenchSpeed): Html {
  return html`${KINDS.map((kind) => speedFigure(speed, kind))}`;
}

function speedFigure(speed: BenchSpeed, kind: (typeof KINDS)[number]): Html {
  const { runtime, threads, promptTokens, generatedTokens, repeats, ratios } = speed;
  const both = [speed.dense, speed.pruned];
  const rates = both.map((one) => one[kind.key]);
  const title = `${kind.name}, tokens per second`;
  const id = `speed-${kind.ratio}`;
  return figure({
    title,
    caption: html`${runtime}, ${counted(threads, 'thread')}, ${promptTokens} prompt and ${generatedTokens} generated tokens, median of
${repeats}. Pruned ÷ dense is ${data(ratios[kind.ratio], times)}; what was removed allows ${data(ratios[kind.allowed], times)}.`,
    chart: barChart({
      id,
      title,
      description: 'Two bars, dense and pruned. The numbers are in the table below.',
      categories: both.map(({ label }) => label),
      parts: [{ name: kind.name, color: 'var(--series-0)', values: rates }],
      value: {
        name: 'tokens per second',
        scale: linearScale(0, Math.max(...rates)),
        format: grouped,
      },
      labels: rates.map(short),
    }),
    tables: [
      table({
        id: `${id}-table`,
        caption: `${kind.name} in ${runtime}.`,
        head: ['model', 'tokens per second', 'parameters', 'file'],
        rows: both.map((one) => [
          one.label,
          number(one[kind.key], short),
          number(one.parameters, grouped),
          number(one.fileBytes, bytes),
        ]),
      }),
    ],
  });
}
