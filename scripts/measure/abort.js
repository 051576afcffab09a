// npm run measure -- abort MODEL [NAME…]: from AbortController.abort() in the middle of a native call to the
// rejection of prune(), for every kind of call that a run makes, and while it tokenises and hashes. Prints JSON.
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { performance } = require('node:perf_hooks');
const { at } = require('../lib/paths.js');
const library = require(at('dist', 'lib', 'index.js'));
const { watch } = require('./watch.js');

const [model, ...names] = process.argv.slice(2);
const TOKENS = 2048;
const WINDOW = 512;
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'struprune-abort-'));

/** Hears of every asynchronous native call (watch.js). */
let enter = () => undefined;

function run(signal, more = {}) {
  return library.prune(model, {
    output: path.join(folder, 'out'),
    force: true,
    sparsity: 0.2,
    scope: 'all',
    calibration: at('assets', 'text', 'calibration.txt'),
    calibrationTokens: TOKENS,
    tuneTokens: 0,
    surveyTokens: TOKENS,
    window: WINDOW,
    signal,
    ...more,
  });
}

/** Text to evaluate on, so that those calls are among them. */
const EVALUATION = { eval: at('assets', 'text', 'evaluation.txt'), evalTokens: TOKENS };

/** The longest call of every name: where an abort could be waited for. */
async function durations() {
  const longest = new Map();
  enter = (name) => {
    const start = performance.now();
    return () => {
      const ms = performance.now() - start;
      if (ms > (longest.get(name)?.ms ?? 0)) longest.set(name, { ms });
    };
  };
  await run(undefined, EVALUATION);
  return longest;
}

/** Aborts a third into the first call of that name that lasts so long. */
async function latency(name, delay) {
  const stop = new AbortController();
  let start;
  enter = (called) => {
    if (called !== name || start !== undefined) return undefined;
    const timer = setTimeout(() => {
      start = performance.now();
      stop.abort(new Error('stop'));
    }, delay);
    return () => clearTimeout(timer);
  };
  await run(stop.signal, EVALUATION).then(
    () => {},
    () => {},
  );
  return start === undefined ? null : performance.now() - start;
}

/** Aborts so many milliseconds after the start: opening, tokenising, hashing. */
async function early(delay) {
  const stop = new AbortController();
  enter = () => undefined;
  let start;
  setTimeout(() => {
    start = performance.now();
    stop.abort(new Error('stop'));
  }, delay);
  await run(stop.signal).catch(() => {});
  return performance.now() - start;
}

const round = (ms) => ms && Number(ms.toFixed(0));

async function main() {
  watch((name) => enter(name));
  const rows = [];
  if (names.length === 0) {
    for (const delay of [100, 300, 600, 900]) {
      rows.push({ call: `${delay} ms after the start`, latencyMs: round(await early(delay)) });
    }
  }
  const longest = await durations();
  for (const [name, { ms }] of longest) {
    if (names.length > 0 && !names.includes(name)) continue;
    // A call shorter than this cannot make anybody wait.
    const row = { call: name, callMs: round(ms), latencyMs: null };
    if (ms > 50) row.latencyMs = round(await latency(name, ms / 3));
    rows.push(row);
    process.stderr.write(`${JSON.stringify(row)}\n`);
  }
  console.log(JSON.stringify(rows));
}

main().finally(() => fs.rmSync(folder, { recursive: true, force: true }));
