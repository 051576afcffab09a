/** The pruned checkpoint against the dense one in runtimes. */
import type { BenchPace, BenchSpeed } from '../../documents/bench';
import { counted } from '../../numbers';
import { barChart } from '../charts/bars';
import { linearScale } from '../charts/ticks';
import { figure } from '../figure';
import { type Html, html } from '../html';
import { bytes, data, grouped, short, times } from '../numbers';
import { number, table } from '../table';

type Run = BenchSpeed['runs'][number];

const KINDS = ['prompt', 'generation'] as const;
const DOES = { prompt: 'reads a prompt', generation: 'writes tokens' };
const BY = { prompt: 'arithmetic', generation: 'bytes' };

export function speedSummary({ runs }: BenchSpeed): Html {
  return html`${runs.map(
    (run) => html`<p>In ${run.runtime} the pruned model ${claims(run)}.</p>`,
  )}`;
}

function claims(run: Run): Html[] {
  return KINDS.flatMap((kind) => {
    const pace = run[kind];
    if (pace === null) return [];
    const { ratio, allowed, noise } = pace;
    const verdict = noise ? ': more is noise' : '';
    return html`${kind === 'generation' ? ' and ' : ''}${DOES[kind]} ${data(ratio.median, times)} as fast as the dense one
(the removed ${BY[kind]} allow${kind === 'prompt' ? 's' : ''} ${data(allowed, times)}${verdict})`;
  });
}

export function speedFigures(speed: BenchSpeed): Html {
  const figures = speed.runs.flatMap((run, i) =>
    KINDS.flatMap((kind) => {
      const pace = run[kind];
      return pace === null
        ? []
        : [speedFigure(speed, run.runtime, pace, { kind, id: `speed-${i}-${kind}` })];
    }),
  );
  return html`${figures}${speed.notes.map((note) => html`<p>${note}.</p>`)}`;
}

function speedFigure(
  { threads, promptTokens, generatedTokens, repeats, dense, pruned }: BenchSpeed,
  runtime: string,
  pace: BenchPace,
  { kind, id }: { kind: (typeof KINDS)[number]; id: string },
): Html {
  const both = [
    { ...dense, rate: pace.dense },
    { ...pruned, rate: pace.pruned },
  ];
  const rates = both.map(({ rate }) => rate.median);
  const title = `${kind === 'prompt' ? 'Prompt' : 'Generation'}, tokens per second in ${runtime}`;
  const tokens =
    kind === 'prompt' ? `${promptTokens} tokens` : `${generatedTokens} tokens after the prompt`;
  const { ratio, allowed, noise } = pace;
  return figure({
    title,
    caption: html`${counted(threads, 'thread')}, ${tokens}, median of ${counted(repeats, 'round')} in which the models took turns. Pruned ÷ dense is
${data(ratio.median, times)} (${data(ratio.least, times)} to ${data(ratio.most, times)}); what was removed allows ${data(allowed, times)}${
      noise ? ', so that the rest is noise' : ''
    }.`,
    chart: barChart({
      id,
      title,
      description: 'Two bars, dense and pruned. The numbers are in the table below.',
      categories: both.map(({ label }) => label),
      parts: [{ name: title, color: 'var(--series-0)', values: rates }],
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
        caption: `${title}.`,
        head: ['model', 'median', 'least', 'most', 'parameters', 'file'],
        rows: both.map(({ label, rate, parameters, fileBytes }) => [
          label,
          number(rate.median, short),
          number(rate.least, short),
          number(rate.most, short),
          number(parameters, grouped),
          number(fileBytes, bytes),
        ]),
      }),
    ],
  });
}
