import { DASHES, type SeriesStyle } from './charts/style';
import { type Html, html, Html as Safe } from './html';

export interface Figure {
  title: string;
  /** What to see in it, one or two sentences. */
  caption: Html | string;
  chart: Html;
  legend?: Html;
  /** The same numbers. */
  tables: readonly (Html | null)[];
}

/** A chart with its words and its numbers. */
export function figure({ title, caption, chart, legend, tables }: Figure): Html {
  return html`<figure>
<figcaption><strong>${title}</strong><span>${caption}</span></figcaption>
${chart}
${legend}
<details><summary>Numbers: ${title}</summary>
${tables}
</details>
</figure>
`;
}

/** Lines of a legend; `small`: for narrow screens alone, where the chart has no direct labels. */
export function lineLegend(
  entries: readonly { name: string; style: SeriesStyle }[],
  { small = true } = {},
): Html {
  return html`<ul class="legend${small ? ' small' : ''}">${entries.map(
    ({ name, style }) => html`<li>${lineSwatch(style)}${name}</li>`,
  )}</ul>`;
}

/** Areas of a legend, for stacked bars. */
export function areaLegend(entries: readonly { name: string; color: string }[]): Html {
  return html`<ul class="legend">${entries.map(
    ({ name, color }) =>
      html`<li><svg width="14" height="14" aria-hidden="true"><rect width="14" height="14" rx="2" fill="${color}"/></svg>${name}</li>`,
  )}</ul>`;
}

function lineSwatch({ color, dash, width, symbol }: SeriesStyle): Html {
  return html`<svg width="30" height="14" aria-hidden="true"><path d="M0 7H30" stroke="${color}" stroke-width="${width}" stroke-dasharray="${DASHES[dash].join(' ') || 'none'}" fill="none"/>${marker(symbol, color)}</svg>`;
}

const SHAPES: Readonly<Record<string, string>> = {
  circle: 'M10.5 7a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0Z',
  diamond: 'M15 2L20 7L15 12L10 7Z',
  rect: 'M11 3H19V11H11Z',
  triangle: 'M15 2.5L20 11.5H10Z',
};

function marker(symbol: string, color: string): Html {
  const empty = symbol.startsWith('empty');
  const shape = SHAPES[empty ? symbol.slice(5).toLowerCase() : symbol];
  if (!shape) return new Safe('');
  return html`<path d="${shape}" stroke="${color}" stroke-width="1.5" fill="${empty ? 'var(--surface)' : color}"/>`;
}
