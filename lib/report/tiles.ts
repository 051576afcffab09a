import { type Html, html, type Part } from './html';

export interface Tile {
  name: string;
  figure: Part;
  beside: Part;
}

/** Key figures side by side. */
export function tiles(all: readonly Tile[]): Html {
  return html`<dl class="tiles">${all.map(
    ({ name, figure, beside }) =>
      html`<div><dt>${name}</dt><dd class="figure">${figure}</dd><dd class="beside">${beside}</dd></div>`,
  )}</dl>`;
}
