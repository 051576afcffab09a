/** Just enough reading of our own well-formed HTML for tests without a browser. */

export interface Cell {
  text: string;
  /** Of the data elements in it. */
  values: number[];
}

export function unescaped(text: string): string {
  return text
    .replace(/&lt;/g, '<')
    .replace(/&gt;/g, '>')
    .replace(/&quot;/g, '"')
    .replace(/&#39;/g, "'")
    .replace(/&amp;/g, '&');
}

/** Body rows of the table with an id, cells in order. */
export function tableOf(page: string, id: string): Cell[][] {
  const table = page.split(`<table id="${id}" `)[1]?.split('</table>')[0];
  if (table === undefined) throw new Error(`no table ${id}`);
  const body = table.split('<tbody>')[1]!;
  return [...body.matchAll(/<tr>([\s\S]*?)<\/tr>/g)].map(([, row]) =>
    [...row!.matchAll(/<t[hd][^>]*>([\s\S]*?)<\/t[hd]>/g)].map(([, cell]) => ({
      text: unescaped(cell!.replace(/<[^>]*>/g, '')),
      values: [...cell!.matchAll(/<data value="([^"]*)">/g)].map(([, value]) => Number(value)),
    })),
  );
}

/** Rows as first cell → values of the others; null where a cell has no number. */
export function numbersOf(page: string, id: string): [string, (number | null)[]][] {
  return tableOf(page, id).map(([first, ...rest]) => [
    first!.text,
    rest.map(({ values }) => values[0] ?? null),
  ]);
}

/** Where round markers lie in the wide form of a chart, in its pixels. */
export function dotsOf(page: string, id: string): [x: number, y: number][] {
  const chart = new RegExp(
    `<svg class="chart wide"[^>]* aria-labelledby="${id}-wide-title[\\s\\S]*?</svg>`,
  );
  const [drawn] = chart.exec(page) ?? [];
  if (drawn === undefined) throw new Error(`no chart ${id}`);
  const places = drawn.matchAll(/matrix\([\d.]+,0,0,[\d.]+,([\d.]+),([\d.]+)\)/g);
  return [...places].map(([, x, y]) => [Number(x), Number(y)]);
}
