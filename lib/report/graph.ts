/** One run of pruneGraph() as one HTML file. */
import { basename } from 'node:path';
import type { GraphResult } from '../models/graphs/run/result';
import { lineChart } from './charts/lines';
import { dotStyle } from './charts/style';
import { linearScale } from './charts/ticks';
import { figure } from './figure';
import { type Html, html } from './html';
import { asked, bytes, data, grouped, mark, percent, short } from './numbers';
import { page, type Section } from './page';
import { facts, type Origin, originBody } from './sections/origin';
import { blockScale } from './sections/sites';
import { type Cell, number, table, words } from './table';
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
    { id: 'sites', title: 'Where it was removed', body: sitesFigures(result) },
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

function sitesFigures({ sites }: GraphResult): Html {
  const errors = sites.filter(({ relativeError }) => relativeError !== null);
  return html`${sitesFigure(sites, {
    id: 'site-widths',
    title: 'Share of the units of every site that was removed',
    caption: 'Dots in the order of the table, which has the names.',
    value: { name: 'removed', of: ({ before, after }) => 1 - after / before, format: asked },
    columns: {
      before: ({ before }) => number(before, grouped),
      after: ({ after }) => number(after, grouped),
      removed: ({ before, after }) => number(1 - after / before, percent),
      seconds: ({ seconds }) => number(seconds, short),
    },
  })}${sitesFigure(errors, {
    id: 'site-errors',
    title: 'Error of the readers of every site after their refit',
    caption: 'As a share of the energy of what they gave before, on the calibration samples.',
    value: { name: 'relative error', of: ({ relativeError }) => relativeError!, format: mark },
    columns: {
      'relative error': ({ relativeError }) => number(relativeError, short),
      'predicted loss': ({ predicted }) => number(predicted, short),
      λ: ({ lambda }) => number(lambda, short),
    },
  })}`;
}

type Site = GraphResult['sites'][number];

interface SitesFigure {
  id: string;
  title: string;
  caption: string;
  value: { name: string; of: (site: Site) => number; format: (value: number) => string };
  columns: Record<string, (site: Site) => Cell>;
}

/** A dot a site, and its numbers; null of no sites. */
function sitesFigure(
  sites: readonly Site[],
  { id, title, caption, value, columns }: SitesFigure,
): Html | null {
  if (sites.length === 0) return null;
  const points = sites.map((site, i): [number, number] => [i, value.of(site)]);
  return figure({
    ...{ title, caption },
    chart: lineChart({
      ...{ id, title },
      description: `${sites.length} dots, one a site. The numbers are in the table below.`,
      x: { name: 'site', scale: blockScale(sites.length), format: String },
      y: {
        ...{ name: value.name, format: value.format },
        scale: linearScale(0, Math.max(0.05, ...points.map(([, y]) => y))),
      },
      series: [
        { name: value.name, style: dotStyle(0, 'var(--series-0)'), points, labelled: false },
      ],
    }),
    tables: [
      table({
        id: `${id}-table`,
        caption: `${title}.`,
        head: ['site', 'name', ...Object.keys(columns)],
        rows: sites.map((site, i) => [
          String(i),
          words(site.name),
          ...Object.values(columns).map((cell) => cell(site)),
        ]),
      }),
    ],
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
