/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/**
 * Reports in a real browser, Debian's Chromium: they render without a word on the console and without a
 * request, fit a phone, show the numbers of the JSON, and pass axe. STRUPRUNE_CHROMIUM names another browser;
 * STRUPRUNE_SCREENSHOTS a folder for pictures.
 */
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type Browser, chromium, type Page } from 'playwright-core';
import { benchHtml } from '../../lib/report/bench';
import { graphHtml } from '../../lib/report/graph';
import { pruneHtml } from '../../lib/report/prune';
import { sampleDocument, sampleGraph, sampleGraphs, sampleRun } from '../report/sample';

const BROWSER = process.env.STRUPRUNE_CHROMIUM ?? '/usr/bin/chromium';
const PHONE = { width: 360, height: 740 };
const DESK = { width: 1200, height: 900 };
const REPORTS = {
  bench: benchHtml(sampleDocument()),
  prune: pruneHtml(sampleRun()),
  graph: graphHtml(sampleGraph()),
  'bench-graphs': benchHtml(sampleGraphs()),
};
/** Charts that each has at least. */
const CHARTS = { bench: 3, prune: 3, graph: 2, 'bench-graphs': 2 };

let browser: Browser;
let folder: string;

test.before(async () => {
  if (!existsSync(BROWSER)) {
    throw new Error(
      `${BROWSER} is not there: apt-get install -y chromium, or set STRUPRUNE_CHROMIUM`,
    );
  }
  // Without its sandbox, since tests run as root in containers; it opens our own files alone.
  browser = await chromium.launch({ executablePath: BROWSER, args: ['--no-sandbox'] });
  folder = await mkdtemp(join(tmpdir(), 'struprune-report-'));
  for (const [name, text] of Object.entries(REPORTS)) {
    await writeFile(join(folder, `${name}.html`), text);
  }
});

test.after.always(async () => {
  await browser?.close();
  if (folder) await rm(folder, { recursive: true, force: true });
});

/** Opens a report; afterwards nothing may have been said or asked for. */
async function withReport(
  t: ExecutionContext,
  name: string,
  look: { viewport: typeof PHONE; colorScheme: 'light' | 'dark' },
  use: (page: Page) => Promise<void>,
): Promise<void> {
  const page = await browser.newPage(look);
  const said: string[] = [];
  page.on('console', (message) => said.push(message.text()));
  page.on('pageerror', (error) => said.push(error.message));
  const asked: string[] = [];
  page.on('request', (request) => asked.push(request.url()));
  const url = `file://${join(folder, `${name}.html`)}`;
  await page.goto(url);
  await use(page);
  t.deepEqual(said, []);
  t.deepEqual(asked, [url]);
  await page.close();
}

const openAll = (page: Page) =>
  page.evaluate(() => {
    for (const one of document.querySelectorAll('details')) one.open = true;
  });

for (const name of Object.keys(REPORTS) as (keyof typeof REPORTS)[]) {
  for (const [device, viewport] of Object.entries({ desk: DESK, phone: PHONE })) {
    for (const colorScheme of ['light', 'dark'] as const) {
      test.serial(`${name}, ${device}, ${colorScheme}`, async (t) => {
        await withReport(t, name, { viewport, colorScheme }, async (page) => {
          const pictures = process.env.STRUPRUNE_SCREENSHOTS;
          if (pictures) {
            const path = join(pictures, `${name}-${device}-${colorScheme}.png`);
            await page.screenshot({ path, fullPage: true });
          }
          await openAll(page);
          const facts = await page.evaluate(() => ({
            width: document.documentElement.scrollWidth,
            ground: getComputedStyle(document.body).backgroundColor,
            charts: [...document.querySelectorAll('figure')].map(
              (figure) =>
                [...figure.querySelectorAll('svg.chart')].filter(
                  (svg) => svg.getBoundingClientRect().height > 100,
                ).length,
            ),
            strokes: [...document.querySelectorAll('svg.chart path')].map(
              (path) => getComputedStyle(path).stroke,
            ),
          }));
          t.is(facts.width, viewport.width, 'no sideways scrolling');
          t.is(facts.ground, colorScheme === 'light' ? 'rgb(247, 247, 244)' : 'rgb(16, 18, 21)');
          t.true(facts.charts.length >= CHARTS[name] && facts.charts.every((shown) => shown === 1));
          const series = colorScheme === 'light' ? 'rgb(23, 70, 209)' : 'rgb(77, 150, 255)';
          t.true(facts.strokes.includes(series), 'the variables reach the charts');
          await axe(t, page);
        });
      });
    }
  }
}

/** axe-core's rules; its script comes in through the debugger, past the page's own policy. */
async function axe(t: ExecutionContext, page: Page): Promise<void> {
  const source = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
  await page.evaluate(source);
  const violations = await page.evaluate(async () => {
    const { axe } = window as unknown as {
      axe: {
        run(): Promise<{ violations: { id: string; impact: string; nodes: { html: string }[] }[] }>;
      };
    };
    const found = (await axe.run()).violations;
    return found.map(({ id, impact, nodes }) => [id, impact, nodes[0]?.html.slice(0, 120)]);
  });
  t.deepEqual(violations, []);
}

test.serial('long names leave the best methods their last column on a desk', async (t) => {
  const { quality, ...rest } = sampleDocument();
  const long = (label: string) => `${label}, the output map alone, tuned on what calibrates`;
  const rows = quality!.rows.map((row) => ({ ...row, label: long(row.label) }));
  const text = benchHtml({ ...rest, quality: { ...quality!, rows } });
  await writeFile(join(folder, 'long.html'), text);
  await withReport(t, 'long', { viewport: DESK, colorScheme: 'light' }, async (page) => {
    const cut = await page.evaluate(() => {
      const { scrollWidth, clientWidth } = document.querySelector('#best-table')!.parentElement!;
      return scrollWidth - clientWidth;
    });
    t.is(cut, 0);
  });
});

test.serial('the numbers that the browser has are those of the JSON', async (t) => {
  const { quality } = sampleDocument();
  await withReport(t, 'bench', { viewport: DESK, colorScheme: 'light' }, async (page) => {
    const shown = await page.evaluate(() =>
      [...document.querySelectorAll<HTMLTableRowElement>('#results-table tbody tr')].map((row) => ({
        label: row.cells[0]!.textContent,
        values: [...row.querySelectorAll('data')].map((one) => Number(one.value)),
      })),
    );
    t.is(shown.length, quality!.rows.length);
    for (const { label, values } of shown) {
      const row = quality!.rows.find((one) => one.label === label && one.sparsity === values[0])!;
      t.deepEqual(values, [
        row.sparsity,
        row.achieved,
        row.fileSparsity,
        row.parameters,
        row.fileBytes,
        ...row.texts.flatMap((on) => [on.perplexity, on.klToDense, on.top1Agreement]),
        ...(row.survey === null ? [] : [row.seconds.survey]),
        row.seconds.solve,
        row.seconds.evaluate,
        row.peakRssBytes!,
      ]);
    }
    t.is(await page.title(), `Pruning ${quality!.model.name}`);
  });
});

test.serial('by keyboard: skip link, contents, details, tables', async (t) => {
  await withReport(t, 'bench', { viewport: DESK, colorScheme: 'light' }, async (page) => {
    const focused = () => page.evaluate(() => document.activeElement?.outerHTML.slice(0, 40) ?? '');
    await page.keyboard.press('Tab');
    t.regex(await focused(), /class="skip"/);
    await page.keyboard.press('Enter');
    t.is(await page.evaluate(() => document.activeElement?.id), 'content');
    // The first table of the summary, then the first figure's numbers.
    await page.keyboard.press('Tab');
    t.regex(await focused(), /class="scroll"/);
    await page.keyboard.press('Tab');
    t.regex(await focused(), /<summary>/);
    await page.keyboard.press('Enter');
    t.true(
      await page.evaluate(() => document.querySelector('figure details')!.hasAttribute('open')),
    );
    await page.keyboard.press('Tab');
    t.regex(await focused(), /class="scroll"/);
  });
});

test.serial('on paper: light whatever the screen is, nothing cut off at the side', async (t) => {
  await withReport(t, 'bench', { viewport: DESK, colorScheme: 'dark' }, async (page) => {
    await page.emulateMedia({ media: 'print', colorScheme: 'dark' });
    const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    t.is(ground, 'rgb(247, 247, 244)');
    t.true((await page.pdf({ format: 'A4' })).length > 10_000);
  });
});
