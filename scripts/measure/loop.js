// npm run measure -- loop MODEL [TOKENS]: how long a prune keeps the event loop of its process waiting. Prints JSON.
// `delayMs` is what a program notices. On a machine that is busy most of it is other programs' doing: `cpuMs` is the
// longest time that the main thread was at work between two ticks (the system's account, schedstat), which no other
// program can change; `blockedMs` the longest delay less the time for which the thread itself waited for a processor, which
// still has waits for other threads that waited for one.
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { monitorEventLoopDelay, performance } = require('node:perf_hooks');
const { at } = require('../lib/paths.js');
const library = require(at('dist', 'lib', 'index.js'));

const [model, tokens = '2048'] = process.argv.slice(2);
const TICK_MS = 2;
const account = fs.openSync(`/proc/self/task/${process.pid}/schedstat`);
const buffer = Buffer.alloc(64);

/** Milliseconds for which the main thread has been at work, and has waited for a processor. */
function accounted() {
  const length = fs.readSync(account, buffer, 0, buffer.length, 0);
  const [cpu, waited] = buffer.toString('latin1', 0, length).split(' ');
  return { time: performance.now(), cpu: cpu / 1e6, waited: waited / 1e6 };
}

async function main() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'struprune-loop-'));
  const worst = new Map();
  // Words of the models before and after are left out: they take minutes and do nothing new.
  let stage = 'open';
  let last = accounted();
  const timer = setInterval(() => {
    const now = accounted();
    const blocked = now.time - last.time - TICK_MS - (now.waited - last.waited);
    const before = worst.get(stage) ?? { cpuMs: 0, blockedMs: 0 };
    worst.set(stage, {
      cpuMs: round(Math.max(before.cpuMs, now.cpu - last.cpu)),
      blockedMs: round(Math.max(before.blockedMs, blocked)),
    });
    last = now;
  }, TICK_MS);
  const histogram = monitorEventLoopDelay({ resolution: 1 });
  histogram.enable();
  const window = 512;
  try {
    await library.prune(model, {
      output: path.join(folder, 'out'),
      sparsity: 0.2,
      calibration: at('assets', 'text', 'calibration.txt'),
      calibrationTokens: Number(tokens),
      tuneTokens: 0,
      surveyTokens: Number(tokens),
      eval: at('assets', 'text', 'evaluation.txt'),
      evalTokens: 2 * window,
      window,
      onProgress: (progress) => {
        stage = progress.stage;
      },
    });
  } finally {
    clearInterval(timer);
    fs.rmSync(folder, { recursive: true });
  }
  const most = (key) => Math.max(...[...worst.values()].map((stage) => stage[key]));
  const figures = {
    cpuMs: most('cpuMs'),
    blockedMs: most('blockedMs'),
    delayMs: round(histogram.max / 1e6),
    p99Ms: round(histogram.percentile(99) / 1e6),
    byStage: Object.fromEntries(worst),
  };
  console.log(JSON.stringify(figures));
}

const round = (ms) => Number(ms.toFixed(1));
main();
