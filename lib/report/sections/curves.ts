/** Error curves of the surveys: what a layer loses after so many removals, each with an exact refit. */
import type { BenchQuality, BenchSurvey } from '../../documents/bench';
import { type LineSeries, lineChart } from '../charts/lines';
import { bareLine } from '../charts/style';
import { linearScale, logScale } from '../charts/ticks';
import { figure } from '../figure';
import { type Html, html } from '../html';
import { asked, mark, short } from '../numbers';
import { rampColor } from '../palette';
import { number, table } from '../table';
import { comparedMethods } from './perplexity';
import { siteName, sitesWith } from './sites';

const EVEN_SHARES = Array.from({ length: 19 }, (_, i) => (i + 1) * 0.05);

/** Where curves are read, for chart and table: at every count where groups are few, else at even shares. */
function sharesOf(layers: readonly Layer[]): number[] {
  const [groups] = new Set(layers.map((layer) => layer.groups));
  const same = layers.every((layer) => layer.groups === groups);
  if (!same || groups === undefined || groups > EVEN_SHARES.length) return EVEN_SHARES;
  return Array.from({ length: groups }, (_, i) => (i + 1) / groups);
}

/** Errors this much smaller than the largest say nothing that can be seen. */
const DEPTH = 1e5;

type Layer = BenchSurvey['layers'][number];

/** Figures of the surveys that the compared methods used; those of ablations alone are in the JSON. */
export function curveFigures(quality: BenchQuality): Html | null {
  const compared = new Set(comparedMethods(quality).map(({ id }) => id));
  const used = new Set(
    quality.rows.filter(({ method }) => compared.has(method)).map(({ survey }) => survey),
  );
  const surveys = quality.surveys.filter(({ key }) => used.has(key));
  const figures = surveys.flatMap((survey, i) =>
    sitesWith(survey.layers).flatMap((site) => {
      const layers = survey.layers.filter((layer) => layer.site === site);
      const which = surveys.length > 1 ? `, survey ${i + 1}` : '';
      return layers.length === 0 ? [] : [curveFigure(survey, layers, `curves-${i}-${site}`, which)];
    }),
  );
  return figures.length === 0 ? null : html`${figures}`;
}

/** The error at a share of the groups, weighted as the allocation sees it; whole groups, the nearest count. */
export function errorAt({ error, groups, weight }: Layer, share: number): number | null {
  const value = error[Math.round(share * groups)];
  return value === undefined || !Number.isFinite(value) ? null : value * weight;
}

function curveFigure(
  survey: BenchSurvey,
  layers: readonly Layer[],
  id: string,
  which: string,
): Html {
  const shares = sharesOf(layers);
  const curves = layers.map((layer) => ({ layer, points: pointsOf(layer, shares) }));
  const errors = curves.flatMap(({ points }) => points.map(([, error]) => error));
  const name = siteName(layers[0]!.site);
  const title = `Error curves of the ${name}${which}`;
  const high = Math.max(...errors);
  const low = Math.min(...errors.filter((error) => error >= high / DEPTH));
  const below = curves.filter(({ points }) => points.every(([, error]) => error < low));
  return figure({
    title,
    caption: `What removing the cheapest groups of one block costs, in ${survey.unit}, surveyed on ${survey.tokens.toLocaleString('en-US')} tokens of the dense model. Where little is lost, more can go. Survey: ${survey.key}.${
      below.length === 0
        ? ''
        : ` Below the scale, in the table: block ${below.map(({ layer }) => layer.block).join(', ')}.`
    }`,
    chart: lineChart({
      id,
      title,
      description: `${curves.length} rising lines, one a block, over the removed share of its groups. The numbers are in the table below.`,
      x: {
        name: 'removed share of the groups',
        scale: linearScale(0, Math.max(...curves.flatMap(({ points }) => points.map(([x]) => x)))),
        format: asked,
      },
      y: { name: survey.unit, log: true, scale: logScale(low, high), format: mark },
      series: curves.map(({ layer, points }, i) => seriesOf(layer, points, i, curves.length)),
    }),
    legend: html`<p class="legend">Colour from blue (first block) to orange (last).</p>`,
    tables: [
      table({
        id: `${id}-table`,
        caption: `Error in ${survey.unit} after removing a share of the groups, times the layer's weight in the allocation.`,
        head: [
          'block',
          'groups',
          'weight',
          ...shares.map((share) => asked(Number(share.toFixed(3)))),
        ],
        rows: layers.map((layer) => [
          String(layer.block),
          String(layer.groups),
          number(layer.weight, short),
          ...shares.map((share) => number(errorAt(layer, share), short)),
        ]),
      }),
    ],
  });
}

/** Only positive errors have a place on a logarithmic scale. */
function pointsOf(layer: Layer, shares: readonly number[]): [number, number][] {
  return shares.flatMap((share): [number, number][] => {
    const error = errorAt(layer, share);
    return error !== null && error > 0 ? [[share, error]] : [];
  });
}

/** Labels of some blocks alone, where all would be a heap. */
function seriesOf(layer: Layer, points: [number, number][], i: number, count: number): LineSeries {
  const every = Math.max(1, Math.round(count / 6));
  return {
    name: `block ${layer.block}`,
    points,
    style: bareLine(rampColor(i, count), count > 12 ? 1.25 : 2),
    labelled: i % every === 0 || i === count - 1,
  };
}
