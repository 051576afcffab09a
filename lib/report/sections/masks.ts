/** Ways to a mask inside a site, at equal widths: what each leaves of the error, and how ADMM came to rest. */

import type { BenchLayer, BenchMasks } from '../../documents/bench';
import { type SearchSummary, summariseMasks } from '../../documents/mask-summary';
import { lineChart } from '../charts/lines';
import { seriesStyle } from '../charts/style';
import { linearScale } from '../charts/ticks';
import { figure, lineLegend } from '../figure';
import { type Html, html } from '../html';
import { asked, data, grouped, mark, short, time } from '../numbers';
import { number, table, words } from '../table';
import { admmFigure } from './admm';
import { blockScale, siteName, sitesWith } from './sites';

/** The best and the default search, in one sentence a share. */
export function masksSummary(masks: BenchMasks): Html {
  const all = summariseMasks(masks);
  const first = masks.searches[0]!;
  return html`${sharesOf(masks).map((share) => {
    const own = all.filter((one) => one.share === share);
    const best = own.reduce((a, b) => (b.ratio < a.ratio ? b : a));
    const rest = own.filter(({ search }) => search !== first.id && search !== best.search);
    return html`<p>With ${asked(share)} of a site's groups removed, ${best.label} leaves the least error${
      best.search === first.id
        ? ''
        : html` (${data(best.ratio, ratio)} of what ${first.label} leaves, in ${data(best.seconds, time)} instead of
${data(own[0]!.seconds, time)})`
    }. ${rest.map(
      ({ label, ratio: mean }, i) =>
        html`${i > 0 ? ', ' : 'Beside that: '}${label} ${data(mean, ratio)}`,
    )}.</p>`;
  })}`;
}

export function masksFigures(masks: BenchMasks): Html {
  const shares = sharesOf(masks);
  return html`${summaryTable(masks)}${shares.flatMap((share) =>
    sitesWith(masks.sites).map((site) => errorFigure(masks, share, site)),
  )}${shares.map((share) => residualFigure(masks, share))}`;
}

function sharesOf({ sites }: BenchMasks): number[] {
  return [...new Set(sites.map(({ share }) => share))];
}

function ratio(value: number): string {
  return `×${value.toFixed(4)}`;
}

function summaryTable(masks: BenchMasks): Html {
  return table({
    id: 'masks-summary',
    caption: `Error after the exact refit ÷ that of ${masks.searches[0]!.label}: geometric mean and largest over the sites. Best: sites
where no search leaves less. Seconds are those of the search alone, all sites together.`,
    head: ['search', 'removed', 'sites', 'mean', 'worst', 'best', 'seconds', 'swaps', 'at rest'],
    rows: summariseMasks(masks).map((one: SearchSummary) => [
      words(one.label),
      number(one.share, asked),
      number(one.sites, grouped),
      number(one.ratio, ratio),
      number(one.worst, ratio),
      number(one.best, grouped),
      number(one.seconds, time),
      number(one.swaps, grouped),
      number(one.settled, grouped),
    ]),
  });
}

function errorFigure(masks: BenchMasks, share: number, site: BenchLayer['site']): Html | null {
  const sites = masks.sites.filter((one) => one.share === share && one.site === site);
  if (sites.length === 0) return null;
  const series = masks.searches.map(({ id, label }, i) => ({
    name: label,
    style: seriesStyle(i, i === 0),
    points: sites.map(({ block, results }): [number, number] => [
      block,
      results.find(({ search }) => search === id)!.relativeError,
    ]),
  }));
  const errors = series.flatMap(({ points }) => points.map(([, error]) => error));
  const title = `Error of every block's ${siteName(site)} with ${asked(share)} removed`;
  const id = `masks-${site}-${Math.round(share * 1000)}`;
  return figure({
    title,
    caption:
      "After the exact refit, as a share of the output map's energy, on inputs of the dense model.",
    chart: lineChart({
      id,
      title,
      description: `${series.length} lines over ${masks.model.blocks} blocks. The numbers are in the table below.`,
      x: { name: 'block', scale: blockScale(masks.model.blocks), format: String },
      y: { name: 'relative error', scale: linearScale(0, Math.max(...errors)), format: mark },
      series,
    }),
    legend: lineLegend(series),
    tables: [
      table({
        id: `${id}-table`,
        caption: `${title}.`,
        head: ['block', 'removed', ...masks.searches.map(({ label }) => label)],
        rows: sites.map(({ block, removed, results }) => [
          String(block),
          number(removed, grouped),
          ...results.map(({ relativeError }) => number(relativeError, short)),
        ]),
      }),
    ],
  });
}

/** Residuals of plain ADMM, which starts from nothing. */
function residualFigure({ sites }: BenchMasks, share: number): Html | null {
  const solved = sites
    .filter((one) => one.share === share)
    .flatMap(({ block, site, results }) => {
      const admm = results.find(({ search }) => search === 'admm')?.admm ?? null;
      return admm ? [{ block, site, admm }] : [];
    });
  if (solved.length === 0) return null;
  const id = `masks-admm-${Math.round(share * 1000)}`;
  return admmFigure(solved, id, `ADMM with ${asked(share)} removed`);
}
