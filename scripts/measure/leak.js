// npm run measure -- leak [CALLS]: resident memory over so many calls of the library (plan, evaluate, survey,
// allocate, aborted prunes; every fifth on an engine of its own). Prints JSON with the slope in bytes a call.
const os = require('node:os');
const path = require('node:path');
const { at } = require('../lib/paths.js');
const library = require(at('dist', 'lib', 'index.js'));

const calls = Number(process.argv[2] ?? 1000);
const { calibration, evaluation } = library.embeddedTexts();
const window = 128;
const shared = { calibration, calibrationTokens: 2 * window, surveyTokens: 2 * window, window };

async function call(engine, model, index) {
  const own = index % 5 === 0 ? { threads: 1 } : { engine };
  switch (index % 4) {
    case 0:
      return library.evaluate(model, { ...own, text: evaluation, maxTokens: window, window });
    case 1:
      return library.plan(model, { ...shared, engine, sparsity: 0.2, output: 'never-written' });
    case 2: {
      const curves = await library.survey(model, { ...shared, ...own });
      return library.allocate(curves, { sparsity: 0.2 });
    }
    default: {
      const stop = new AbortController();
      const output = path.join(os.tmpdir(), `struprune-leak-${process.pid}`);
      const onProgress = () => stop.abort(new Error('stop'));
      const options = { ...shared, ...own, output, sparsity: 0.2, signal: stop.signal, onProgress };
      return library.prune(model, options).catch(() => {});
    }
  }
}

/** Least squares over the second half: the first one fills caches and the heap. */
function slope(points) {
  const half = points.slice(points.length / 2);
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [mx, my] = [mean(half.map(([x]) => x)), mean(half.map(([, y]) => y))];
  const top = mean(half.map(([x, y]) => (x - mx) * (y - my)));
  return top / mean(half.map(([x]) => (x - mx) ** 2));
}

async function main() {
  const engine = new library.Engine({ threads: 2 });
  const model = await library.openModel(library.embeddedModel());
  const points = [];
  for (let index = 0; index < calls; index++) {
    await call(engine, model, index);
    if (index % 10 !== 9) continue;
    global.gc?.();
    points.push([index, process.memoryUsage().rss]);
  }
  await engine.dispose();
  const [first, last] = [points[Math.floor(points.length / 2)], points.at(-1)];
  console.log(
    JSON.stringify({
      calls,
      bytesPerCall: Math.round(slope(points)),
      halfwayMiB: Math.round(first[1] / 2 ** 20),
      endMiB: Math.round(last[1] / 2 ** 20),
    }),
  );
}

main();
