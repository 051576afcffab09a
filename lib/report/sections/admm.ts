/** How ADMM came to rest: its residuals step by step, over the sites of one run. */
import type { BenchLayer } from '../../documents/bench';
import { lineChart } from '../charts/lines';
import { bareLine, seriesStyle } from '../charts/style';
import { linearScale, logScale } from '../charts/ticks';
import { figure, lineLegend } from '../figure';
import { type Html, html } from '../html';
import { grouped, mark, short } from '../numbers';
import { number, table } from '../table';
import { siteName } from './sites';

/** What a figure needs of a solved site. */
export type AdmmSite = Pick<BenchLayer, 'block' | 'site' | 'admm'>;

interface StepSummary {
  step: number;
  /** Sites that were still at work. */
  sites: number;
  primal: number;
  dual: number;
  worstPrimal: number;
  worstDual: number;
  changed: number;
}

/** Residuals under this are drawn at it: below, a logarithmic scale shows rounding. */
const FLOOR = 1e-8;

export function admmFigure(sites: readonly AdmmSite[], id: string, of: string): Html | null {
  const solved = sites.filter(({ admm }) => admm !== null && admm.history.length > 0);
  if (solved.length === 0) return null;
  const steps = stepSummaries(solved);
  const line = (key: keyof StepSummary) =>
    steps.map((step): [number, number] => [step.step, Math.max(FLOOR, step[key])]);
  const series = [
    {
      name: 'primal, median',
      points: line('primal'),
      style: { ...seriesStyle(0), symbol: 'none' },
    },
    { name: 'dual, median', points: line('dual'), style: { ...seriesStyle(1), symbol: 'none' } },
    { name: 'primal, largest', points: line('worstPrimal'), style: dashed('var(--series-0)') },
    { name: 'dual, largest', points: line('worstDual'), style: dashed('var(--series-1)') },
  ];
  const values = series.flatMap(({ points }) => points.map(([, value]) => value));
  const resting = solved.filter(({ admm }) => admm!.converged).length;
  const title = `ADMM residuals, ${of}`;
  return figure({
    title,
    caption: `${resting} of ${solved.length} sites came to rest before the limit. Relative residuals; both fall once the mask stands still.`,
    chart: lineChart({
      id,
      title,
      description: `Four lines over ${steps.length} steps: the median and the largest primal and dual residual of all sites that are still at work. The numbers are in the tables below.`,
      x: { name: 'step', scale: linearScale(0, steps.length, 8), format: grouped },
      y: {
        name: 'relative residual',
        log: true,
        scale: logScale(Math.min(...values), Math.max(...values)),
        format: mark,
      },
      series,
    }),
    legend: lineLegend(series),
    tables: [stepTable(steps, id), siteTable(solved, id)],
  });
}

function dashed(color: string) {
  return { ...bareLine(color, 1.25), dash: 'dashed' as const };
}

/** The middle and the largest of every step, over the sites that made it. */
export function stepSummaries(sites: readonly AdmmSite[]): StepSummary[] {
  const most = Math.max(...sites.map(({ admm }) => admm!.history.length));
  return Array.from({ length: most }, (_, i) => {
    const made = sites.flatMap(({ admm }) => admm!.history[i] ?? []);
    return {
      step: i + 1,
      sites: made.length,
      primal: median(made.map(({ primal }) => primal)),
      dual: median(made.map(({ dual }) => dual)),
      worstPrimal: Math.max(...made.map(({ primal }) => primal)),
      worstDual: Math.max(...made.map(({ dual }) => dual)),
      changed: made.reduce((sum, { changed }) => sum + changed, 0),
    };
  });
}

/** The lower of the middle two, so that it is a value that was measured. */
function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)]!;
}

function stepTable(steps: readonly StepSummary[], id: string): Html {
  return table({
    id: `${id}-steps`,
    caption: 'Residuals of every step over the sites still at work, and groups whose mask changed.',
    head: ['step', 'sites', 'primal', 'dual', 'largest primal', 'largest dual', 'changed'],
    rows: steps.map((step) => [
      String(step.step),
      number(step.sites, grouped),
      number(step.primal, short),
      number(step.dual, short),
      number(step.worstPrimal, short),
      number(step.worstDual, short),
      number(step.changed, grouped),
    ]),
  });
}

function siteTable(sites: readonly AdmmSite[], id: string): Html {
  return table({
    id: `${id}-sites`,
    caption: 'Every site at its last step.',
    head: ['block', 'site', 'steps', 'at rest', 'primal', 'dual', 'ρ'],
    rows: sites.map(({ block, site, admm }) => {
      const last = admm!.history.at(-1)!;
      return [
        html`${String(block)}`,
        { content: siteName(site), className: 'text' },
        number(admm!.history.length, grouped),
        admm!.converged ? 'yes' : 'no, limit',
        number(last.primal, short),
        number(last.dual, short),
        number(last.rho, short),
      ];
    }),
  });
}
