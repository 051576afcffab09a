import type { ExecutionContext } from 'ava';

/** What holds for every report: safe, self-contained, its references resolved, its colours themable. */
export function soundPage(t: ExecutionContext, page: string): void {
  const active = /<script|<link|<iframe|<img|@import|url\((?!#)|<[^>]* on[a-z]+=/i;
  t.is(active.exec(page)?.[0], undefined, 'nothing active');
  const outside = [...page.matchAll(/(?:href|src)="([^"]*)"/g)].filter(([, to]) => to![0] !== '#');
  t.deepEqual(outside, [], 'no link leaves the file');
  t.false(/\b(?:undefined|NaN|null|\[object)\b/.test(page.replace(/<data value="NaN">/g, '')));

  const ids = [...page.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id!);
  t.is(new Set(ids).size, ids.length, 'ids are unique');
  for (const [, name, list] of page.matchAll(
    / (aria-labelledby|aria-describedby|href)="([^"]*)"/g,
  )) {
    for (const id of list!.replace(/^#/, '').split(' ')) {
      t.true(ids.includes(id), `${name} ${id}`);
    }
  }
  for (const [, id] of page.matchAll(/url\(#([^)]*)\)/g)) t.true(ids.includes(id!), id);

  const levels = [...page.matchAll(/<h([1-6])/g)].map(([, level]) => Number(level));
  t.is(levels[0], 1);
  t.is(levels.filter((level) => level === 1).length, 1);
  levels.forEach((level, i) => {
    t.true(i === 0 || level <= levels[i - 1]! + 1, `heading ${i}`);
  });

  const charts = [...page.matchAll(/<svg class="chart[\s\S]*?<\/svg>/g)].map(([svg]) => svg);
  for (const svg of charts) {
    t.regex(svg, /^<svg class="chart (?:wide|narrow)" viewBox="0 0 \d+ \d+" role="img"/);
    t.regex(svg, /<title [^>]*>[^<]+<\/title><desc [^>]*>[^<]+<\/desc>/);
    const drawn = svg.replace(/<defs[\s\S]*?<\/defs>/g, '');
    for (const [, color] of drawn.matchAll(/(?:fill|stroke)="([^"]*)"/g)) {
      t.regex(color!, /^(?:none|transparent|var\(--[a-z0-9-]+\))$/);
    }
    t.false(/NaN|Infinity/.test(svg), 'places are numbers');
  }
  const figures = page.match(/<figure>[\s\S]*?<\/figure>/g) ?? [];
  for (const figure of figures) {
    t.regex(figure, /<figcaption>[\s\S]*<svg class="chart[\s\S]*<details><summary>[\s\S]*<table/);
  }
  t.is(charts.length, 2 * figures.length, 'a wide and a narrow form each');
}
