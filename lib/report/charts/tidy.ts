/** What ECharts writes, made fit for a page: named for screen readers, without what a still picture needs not. */
import { escaped, Html } from '../html';

export interface Naming {
  id: string;
  title: string;
  description: string;
  className: string;
  width: number;
  height: number;
}

export function tidySvg(source: string, naming: Naming): Html {
  const { id, title, description, className, width, height } = naming;
  const body = source
    .replace(/^<svg[^>]*>/, '')
    .replace(/<\/svg>\s*$/, '')
    // Hover effects, the transparent background, marks for ECharts' own client.
    .replace(/<style[^>]*>[\s\S]*?<\/style>/g, '')
    .replace(/<rect[^>]*fill="none"[^>]*><\/rect>/, '')
    .replace(/ (?:pointer-events|ecmeta_\w+|xml:space|class)="[^"]*"/g, '')
    // The page's own font, in ECharts' sizes.
    .replace(/font:[^;"]*?([\d.]+px)[^;"]*/g, 'font-size:$1')
    .replace(/font-family:[^;"]*;?/g, '')
    .replace(/ fill="#fff"/g, ' fill="var(--surface)"')
    // ECharts counts its clip paths through the life of the process; here the same chart is the same text.
    .replace(/zr\d+-c(\d+)/g, `${id}-clip$1`)
    .replace(/<[^>]*>/g, (tag) => tag.replace(/(\.\d\d)\d+/g, '$1').replace(/ +>/g, '>'))
    .replace(/\n+/g, '\n');
  return new Html(
    `<svg class="chart ${className}" viewBox="0 0 ${width} ${height}" role="img" ` +
      `aria-labelledby="${id}-title" aria-describedby="${id}-description">` +
      `<title id="${id}-title">${escaped(title)}</title>` +
      `<desc id="${id}-description">${escaped(description)}</desc>${body}</svg>`,
  );
}
