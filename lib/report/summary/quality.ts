/** The findings of choose.ts in words. */
import type { BenchQuality, BenchRow } from '../../documents/bench';
import { commandLine } from '../../wording';
import { type Html, html, type Part } from '../html';
import {
  asked,
  bytes,
  change,
  data,
  mebibytes,
  million,
  percent,
  perplexity,
  time,
} from '../numbers';
import { number, table, words } from '../table';
import { tiles } from '../tiles';
import {
  type BetterAblation,
  baseOf,
  beaten,
  betterAblations,
  type Choice,
  choose,
  densePerplexity,
  firstText,
  furtherAblation,
  LEVEL,
  LIMIT,
  methodOfRow,
  perplexityOf,
  standings,
  unevenShares,
  worstRatio,
} from './choose';
import { fileSizes } from './sizes';

const ALLOWED = `${Math.round((LIMIT - 1) * 100)} %`;

export function qualitySummary(quality: BenchQuality): Html {
  const choice = choose(quality);
  if (!choice) {
    return html`<div class="answer"><h2>What to choose</h2><p>${nothingToChoose(quality)}</p></div>
${warnings(quality)}`;
  }
  const { row } = choice;
  return html`<div class="answer"><h2>What to choose</h2>
<p>${choice.withinLimit ? chosen(quality, row) : nothingWithin(quality, row)}</p>
<ul>${costs(quality, row)}${furtherOn(quality, row)}${variantFurther(quality, choice)}</ul>
<p>${choice.withinLimit ? 'To make it:' : 'To make it all the same:'}</p>
<pre>${pruneCommand(quality, row)}</pre>
</div>
${keyFigures(quality, row)}
${bestTable(quality, choice)}
${warnings(quality)}`;
}

function nothingToChoose({ rows }: BenchQuality): string {
  if (rows.length === 0) return 'No row was measured.';
  return 'Ablations alone were measured, and none of them is ever chosen: measure the method that they change beside them.';
}

function chosen(quality: BenchQuality, row: BenchRow): Html {
  const texts = quality.texts.length;
  const where = texts === 1 ? 'the text' : texts === 2 ? 'both texts' : `all ${texts} texts`;
  return html`<strong>${row.label} at ${asked(row.sparsity)}</strong>: the largest share measured at which a method
costs at most ${ALLOWED} perplexity on ${where}, and the best of those that do.`;
}

function nothingWithin(quality: BenchQuality, row: BenchRow): Html {
  return html`<strong>No method measured stays within ${ALLOWED}</strong> of the dense perplexity. The mildest,
${row.label} at ${asked(row.sparsity)}, costs ${data(worstRatio(quality, row), change)}. Prune less, calibrate on
more text, or fine-tune afterwards.`;
}

function costs(quality: BenchQuality, row: BenchRow): Html {
  const losses = quality.texts.map(({ name }, i) => {
    const [before, after] = [densePerplexity(quality, name), perplexityOf(row, name)];
    return html`${i > 0 ? '; ' : ''}${data(before, perplexity)} → ${data(after, perplexity)} on ${name}
(${data(after / before, change)})`;
  });
  const agreement = row.texts[0];
  return html`<li><strong>What it costs:</strong> perplexity ${losses}.${
    agreement
      ? html` On ${agreement.text} its likeliest token is the dense model's ${data(agreement.top1Agreement, percent)} of the time.`
      : ''
  }</li>
<li><strong>What it gains:</strong> ${data(row.fileSparsity, percent)} of all parameters
(${data(row.achieved, percent)} of the blocks' linear weights) are gone;
${fileSizes(quality.model.fileBytes, row.fileBytes)}</li>`;
}

/** What the next larger sparsity asks for. */
function furtherOn(quality: BenchQuality, row: BenchRow): Html | null {
  const next = standings(quality).find(({ sparsity }) => sparsity > row.sparsity);
  if (!next) return null;
  return html`<li><strong>Going on</strong> to ${asked(next.sparsity)} costs
${data(next.worstRatio, change)} on the text that suffers most (${next.best.label}).</li>`;
}

/** Rule 2 where a variant keeps the limit with more removed. */
function variantFurther(quality: BenchQuality, choice: Choice): Html | null {
  const row = furtherAblation(quality, choice);
  if (!row) return null;
  const base = baseOf(quality, row);
  return html`<li><strong>A variant goes further:</strong> ${row.label}${base ? html` (of ${base.label})` : ''} removes
${data(row.achieved, percent)} within the limit (${data(worstRatio(quality, row), change)} on the text that suffers
most). Variants are not chosen.</li>`;
}

/** The prune whose row is chosen, as far as the benchmark's own settings say. */
function pruneCommand(quality: BenchQuality, row: BenchRow): string {
  const { model, calibration, format, dtype, scope, ffnSolver, surveys } = quality;
  const given = (option: string) => (option === 'default' ? undefined : option);
  const method = methodOfRow(quality, row);
  return commandLine(
    ['prune', model.path],
    Object.entries({
      output: format === 'gguf' ? 'pruned.gguf' : 'pruned',
      sparsity: row.sparsity,
      scope: given(scope),
      ffnSolver: method?.kind === 'baseline' ? undefined : given(ffnSolver),
      ...method?.options,
      dtype,
      calibration: calibration.path,
      calibrationTokens: calibration.tokens,
      surveyTokens: surveys.find(({ key }) => key === row.survey)?.tokens,
      window: calibration.window,
    }),
  );
}

/** The best of every sparsity. */
function bestTable(quality: BenchQuality, { row, withinLimit }: Choice): Html {
  const text = firstText(quality);
  return html`<div class="card">${table({
    id: 'best-table',
    caption: `The best method at each share, by perplexity on ${text}.${withinLimit ? ' Bold: the choice.' : ''} Worst text: the change where it is largest. Level: less than ${percent(LEVEL)} apart.`,
    head: ['asked', 'best', 'perplexity', 'change', 'worst text', 'next best', 'behind by'],
    rows: standings(quality).map(({ sparsity, best, ratio, worstRatio: worst, next }) => {
      const mark = withinLimit && best === row ? 'best' : '';
      return [
        asked(sparsity),
        words(mark ? `${best.label} (the choice)` : best.label, `name ${mark}`),
        number(perplexityOf(best, text), perplexity, mark),
        number(ratio, change, mark),
        number(worst, change, mark),
        words(next?.row.label ?? '–', 'name'),
        next && next.above < LEVEL ? 'level' : number(next?.above, percent),
      ];
    }),
  })}</div>`;
}

function keyFigures(quality: BenchQuality, row: BenchRow): Html {
  const text = firstText(quality);
  const dense = densePerplexity(quality, text);
  const pruned = perplexityOf(row, text);
  const { model } = quality;
  return tiles([
    {
      name: 'Perplexity',
      figure: data(pruned, perplexity),
      beside: html`dense ${data(dense, perplexity)}, ${data(pruned / dense, change)}`,
    },
    {
      name: 'Parameters',
      figure: data(row.parameters, million),
      beside: html`of ${data(model.parameters, million)}, ${data(row.parameters / model.parameters, change)}`,
    },
    {
      name: 'Weight files',
      figure: data(row.fileBytes, bytes),
      beside: html`source ${data(model.fileBytes, bytes)}`,
    },
    {
      name: 'Time to prune',
      figure: data(row.seconds.survey + row.seconds.solve, time),
      beside: 'survey, solve and write',
    },
    ...(row.peakRssBytes === null
      ? []
      : [
          {
            name: 'Peak memory',
            figure: data(row.peakRssBytes, mebibytes),
            beside: 'of the whole process',
          },
        ]),
  ]);
}

function warnings(quality: BenchQuality): Html | null {
  const items: Part[] = [
    ...quality.warnings.map((warning) => html`<li>${warning}</li>`),
    ...unevenShares(quality).map(
      ({ sparsity, least, most }) =>
        html`<li>Asked for ${asked(sparsity)}, the methods removed ${data(least, percent)} to ${data(most, percent)}: a
lower perplexity there may be no more than a smaller removal.</li>`,
    ),
    ...beaten(quality).flatMap(({ sparsity, text, winner, ours, ratio }) =>
      ours
        ? html`<li><strong>StruPrune is not best</strong> at ${asked(sparsity)} on ${text}: ${winner.label} has
${data(perplexityOf(winner, text), perplexity)}, ${ours.label} ${data(perplexityOf(ours, text), perplexity)}
(${data(ratio!, change)}).</li>`
        : [],
    ),
    ...notMeasured(quality),
    ...ablationWarnings(quality),
    ...quality.failures.map(
      ({ method, sparsity, code, message }) =>
        html`<li><strong>Failed:</strong> ${method} at ${asked(sparsity)}: ${message} [${code}]</li>`,
    ),
    ...rowWarnings(quality),
  ];
  if (items.length === 0) return null;
  return html`<div class="warnings" role="group" aria-labelledby="warnings-heading">
<h3 id="warnings-heading">To be aware of</h3><ul>${items}</ul></div>`;
}

/** Shares without a row of StruPrune's, in one line. */
function notMeasured(quality: BenchQuality): Html[] {
  const shares = new Set(
    beaten(quality).flatMap(({ ours, sparsity }) => (ours ? [] : [asked(sparsity)])),
  );
  if (shares.size === 0) return [];
  return [html`<li>StruPrune was not measured at ${[...shares].join(', ')}.</li>`];
}

/** One line an ablation: where it gains on every text, else where it gains on some. */
function ablationWarnings(quality: BenchQuality): Html[] {
  const byMethod = new Map<string, BetterAblation[]>();
  for (const one of betterAblations(quality)) {
    byMethod.set(one.row.method, [...(byMethod.get(one.row.method) ?? []), one]);
  }
  return [...byMethod.values()].map((found) => {
    const always = found.filter(({ everywhere }) => everywhere);
    const told = always.length > 0 ? always : found;
    const { row, base, ratio } = told[0]!;
    const shares = told.map((one) => one.row.sparsity).sort((a, b) => a - b);
    const isDefault = always.length > 0 && methodOfRow(quality, base)?.base === null;
    return html`<li><strong>${row.label}</strong> does better than ${base.label} at ${shares.map(asked).join(', ')} on
${always.length > 0 ? 'every text' : 'some text, and worse on another'} (perplexity up to ${data(ratio, change)})${
      isDefault ? ': the default is not the best there' : ''
    }.</li>`;
  });
}

/** The same words of several rows are said once. */
function rowWarnings(quality: BenchQuality): Html[] {
  const rows = new Map<string, BenchRow[]>();
  for (const row of quality.rows) {
    for (const text of new Set(row.warnings)) rows.set(text, [...(rows.get(text) ?? []), row]);
  }
  return [...rows].map(([text, of]) => {
    const who =
      of.length === 1 ? `${of[0]!.label} at ${asked(of[0]!.sparsity)}` : `${of.length} rows`;
    return html`<li>${who}: ${text}</li>`;
  });
}
