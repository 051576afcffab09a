/** One run of pruneGraph() as one HTML file. */
import { basename } from 'node:path';
import type { GraphResult } from '../models/graphs/run/result';
import { type Html, html } from './html';
import { bytes, data, grouped, percent, short } from './numbers';
import { page, type Section } from './page';
import { facts, type Origin, originBody } from './sections/origin';
import { number, table } from './table';
import { tiles } from './tiles';

export interface GraphPage {
  /** Path of what was pruned. */
  model: string;
  result: GraphResult;
  origin: Origin;
}

/** The whole report; the same run gives the same text. */
export function graphHtml({ model, result, origin }: GraphPage): string {
  const sections: (Section | null)[] = [
    { id: 'sites', title: 'Where it was removed', body: sitesTable(result) },
    result.held.length > 0 ? { id: 'held', title: 'What stays', body: heldTable(result) } : null,
    { id: 'output', title: 'The graph', body: outputBody(result) },
    { id: 'origin', title: 'How this was made', body: originBody(origin) },
  ];
  return page({
    version: origin.versions.struprune,
    date: origin.date,
    title: `${basename(model)}, pruned`,
    facts: html`${result.allocation} allocation, written as onnx`,
    summary: summaryOf(result),
    sections,
  });
}

function summaryOf(result: GraphResult): Html {
  const { sparsity, evaluation, bytesBefore, bytesAfter } = result;
  return tiles([
    { name: 'Weights removed', figure: data(sparsity, percent), beside: 'of all maps' },
    {
      name: 'File',
      figure: data(bytesAfter, bytes),
      beside: html`of ${data(bytesBefore, bytes)}`,
    },
    ...(evaluation
      ? [
          {
            name: 'Loss',
            figure: data(evaluation.loss, short),
            beside: html`on ${data(evaluation.samples, grouped)} samples to evaluate on`,
          },
        ]
      : []),
    ...(evaluation?.agreement != null
      ? [
          {
            name: 'Same first choice',
            figure: data(evaluation.agreement, percent),
            beside: 'as the dense graph',
          },
        ]
      : []),
  ]);
}

function sitesTable({ sites }: GraphResult): Html {
  return table({
    id: 'sites-table',
    caption:
      'Units of every site before and after, the loss that was predicted, the error of its readers.',
    head: ['site', 'before', 'after', 'removed', 'predicted', 'error', 'λ', 'seconds'],
    rows: sites.map(({ name, before, after, predicted, relativeError, lambda, seconds }) => [
      name,
      number(before, grouped),
      number(after, grouped),
      number(1 - after / before, percent),
      number(predicted, short),
      number(relativeError, short),
      number(lambda, short),
      number(seconds, short),
    ]),
  });
}

function heldTable({ held }: GraphResult): Html {
  return table({
    id: 'held-table',
    caption: 'Weights that no choice of widths removes, as a share of all, by the reasons.',
    head: ['reason', 'share'],
    rows: held.map(({ reason, share }) => [reason, number(share, percent)]),
  });
}

function outputBody(result: GraphResult): Html {
  const { verification, losses, notes, search } = result;
  return facts([
    ['Where', html`<code>${result.output}</code>`],
    ['Calibrated on', html`${data(result.calibrationSamples, grouped)} samples`],
    ['Loss', losses.map(({ output, kind }) => html`${output}: ${kind}, to the dense graph. `)],
    ['Passes', html`${data(result.passes, short)} of the whole graph over these samples`],
    [
      'Parameters',
      html`${data(result.parametersAfter, grouped)} of ${data(result.parametersBefore, grouped)}`,
    ],
    [
      'Multiply-adds of a sample',
      html`${data(result.multiplyAddsAfter, grouped)} of ${data(result.multiplyAddsBefore, grouped)}`,
    ],
    ...(search
      ? [
          [
            'Search for widths',
            html`a loss of ${data(search.after, short)} with all sites cut; ${data(search.before, short)} before`,
          ] as [string, Html],
        ]
      : []),
    [
      'Opened again',
      html`a loss of ${data(verification.actual, short)} on the calibration samples, ${data(verification.expected, short)} during the run`,
    ],
    ...notes.map((note): [string, string] => ['Note', note]),
  ]);
}
