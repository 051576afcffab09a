// npm run measure -- loop MODEL [TOKENS]: how long a prune keeps the event loop of its process waiting. Prints JSON.
// A tick's delay has two parts on a machine that is busy: time in which the thread waited for a processor (the
// system's account, schedstat) and the rest, `ownMs`, in which it was at work or blocked: what a library can help.
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

/** Milliseconds that the main thread has waited for a processor. */
function waited() {
  const length = fs.readSync(account, buffer, 0, buffer.length, 0);
  return Number(buffer.toString('latin1', 0, length).split(' ')[1]) / 1e6;
}

async function main() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'struprune-loop-'));
  const worst = new Map();
  // Words of the models before and after are left out: they take minutes and do nothing new.
  let stage = 'open';
  let last = { time: performance.now(), waited: waited() };
  const timer = setInterval(() => {
    const now = { time: performance.now(), waited: waited() };
    const own = now.time - last.time - TICK_MS - (now.waited - last.waited);
    worst.set(stage, Math.max(worst.get(stage) ?? 0, own));
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
  const byStage = Object.fromEntries([...worst].map(([name, ms]) => [name, round(ms)]));
  const [ownMs, delayMs] = [Math.max(...worst.values()), histogram.max / 1e6].map(round);
  console.log(
    JSON.stringify({ ownMs, delayMs, p99Ms: round(histogram.percentile(99) / 1e6), byStage }),
  );
}

const round = (ms) => Number(ms.toFixed(1));
main();
