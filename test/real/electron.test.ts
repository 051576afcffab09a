/// <reference lib="dom" />
/**
 * The example's window in Debian's Chromium, with a stand-in for what preload.js gives it: progress, cancel, report. No
 * Electron can be had where this runs.
 */
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import test from 'ava';
import { type Browser, chromium, type Page } from 'playwright-core';
import { pruneHtml } from '../../lib/report/prune';
import { sampleRun } from '../report/sample';

const BROWSER = process.env.STRUPRUNE_CHROMIUM ?? '/usr/bin/chromium';
const PAGE = `file://${resolve(__dirname, '../../examples/electron/window.html')}`;

let browser: Browser;

test.before(async () => {
  if (!existsSync(BROWSER)) throw new Error(`${BROWSER} is not there: apt-get install chromium`);
  browser = await chromium.launch({ executablePath: BROWSER, args: ['--no-sandbox'] });
});

test.after.always(() => browser?.close());

interface Stub {
  calls: [string, unknown][];
  say(message: object): void;
}

/** Errors on the page's console; tests run one after the other. */
const said: string[] = [];

async function open(): Promise<Page> {
  const page = await browser.newPage();
  said.length = 0;
  page.on('pageerror', (error) => said.push(error.message));
  page.on('console', (message) => message.type() === 'error' && said.push(message.text()));
  await page.addInitScript(() => {
    const stub: Stub = { calls: [], say: () => {} };
    const note = (name: string) => (value: unknown) => void stub.calls.push([name, value]);
    Object.assign(window, {
      stub,
      struprune: {
        chooseModel: async () => '/models/SmolLM2',
        chooseText: async () => null,
        start: note('start'),
        cancel: note('cancel'),
        onMessage: (listener: (message: object) => void) => {
          stub.say = listener;
        },
      },
    });
  });
  await page.goto(PAGE);
  return page;
}

const say = (page: Page, message: object) =>
  page.evaluate((said) => (window as unknown as { stub: Stub }).stub.say(said), message);
const calls = (page: Page) => page.evaluate(() => (window as unknown as { stub: Stub }).stub.calls);

test.serial('choose, prune, watch, read the report', async (t) => {
  const page = await open();
  await page.click('#choose-model');
  await page.click('#choose-text');
  await page.fill('#sparsity', '0.3');
  await page.click('#start');
  const options = { model: '/models/SmolLM2', calibration: null, output: null, sparsity: 0.3 };
  t.deepEqual(await calls(page), [['start', options]]);
  t.true(await page.isDisabled('#start'));

  const progress = { type: 'progress', stage: 'solve', done: 3, total: 30, secondsLeft: 41.2 };
  await say(page, { ...progress, message: 'block 3 of 30' });
  t.is(await page.textContent('#status'), 'solve: block 3 of 30, about 42 s of this stage left');
  t.is(await page.$eval('#bar', (bar) => (bar as HTMLProgressElement).value), 3);

  await say(page, { type: 'done', output: '/out', sparsity: 0.3, report: pruneHtml(sampleRun()) });
  t.is(await page.textContent('#status'), '30.0 % removed, written to /out');
  const report = page.frameLocator('#report');
  await report.locator('svg.chart').first().waitFor();
  t.true((await report.locator('svg.chart').count()) > 2);
  t.true(await page.isDisabled('#cancel'));
  t.deepEqual(said, []);
});

test.serial('cancel and failure', async (t) => {
  const page = await open();
  await page.click('#start');
  await page.click('#cancel');
  t.deepEqual(
    (await calls(page)).map(([name]) => name),
    ['start', 'cancel'],
  );
  await say(page, { type: 'failed', isCancelled: true, message: 'cancelled' });
  t.is(await page.textContent('#status'), 'Cancelled.');
  await page.click('#start');
  await say(page, { type: 'failed', isCancelled: false, message: 'the disk is full' });
  t.is(await page.textContent('#status'), 'Failed: the disk is full');
  t.false(await page.isDisabled('#start'));
  t.deepEqual(said, []);
});

test.serial('it fits the accessibility rules of axe', async (t) => {
  const page = await open();
  await page.evaluate(readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8'));
  const found = await page.evaluate(async () => {
    const { axe } = window as unknown as {
      axe: { run(options: object): Promise<{ violations: { id: string }[] }> };
    };
    return (await axe.run({ preload: false })).violations.map(({ id }) => id);
  });
  t.deepEqual(found, []);
  t.deepEqual(said, []);
});
