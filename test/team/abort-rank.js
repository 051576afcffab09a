// A rank of a prune: OUTPUT CALIBRATION RANKS WHO DELAY; rank WHO aborts its call after so many milliseconds. Prints when that was,
// when its call ended, by the clock, and how.
const { Engine, embeddedModel, prune } = require('../../dist/lib');
const [output, calibration, ranks, who, delay] = process.argv.slice(2);

async function main() {
  const engine = new Engine({ ranks: Number(ranks), threads: 1, device: 'cpu' });
  const rank = Number(process.env.OMPI_COMM_WORLD_RANK ?? process.env.PMI_RANK);
  const stop = new AbortController();
  let aborted = null;
  if (rank === Number(who)) {
    setTimeout(() => {
      aborted = Date.now();
      stop.abort(new Error('enough'));
    }, Number(delay));
  }
  // One batch of trials, which one rank makes while the others wait.
  const told = await prune(embeddedModel(), {
    ...{ output, calibration, engine, signal: stop.signal, sparsity: 0.25, scope: 'all' },
    ...{ calibrationTokens: 65536, surveyTokens: 65536, window: 128, tuneTokens: 0 },
  }).then(
    () => 'done',
    (error) => error.message,
  );
  console.log(JSON.stringify({ rank, aborted, ended: Date.now(), told }));
  await engine.dispose();
}

main();
