// threads.js FOLDER: worker threads that load the addon, prune and end; that end in the middle of it; that are
// terminated in the middle of it. Prints how many of each came to their end.
const path = require('node:path');
const { isMainThread, parentPort, Worker, workerData } = require('node:worker_threads');
const { library, model, settings } = require('./settings.js');

const ROUNDS = process.env.STRUPRUNE_LONG === '1' ? 4 : 2;

function start(kind, output) {
  const worker = new Worker(__filename, { workerData: { kind, output } });
  return new Promise((resolve, reject) => {
    worker.on('error', reject);
    worker.on('message', () => kind === 'terminated' && worker.terminate());
    worker.on('exit', resolve);
  });
}

async function work({ kind, output }) {
  const onProgress = ({ stage }) => {
    if (stage !== 'survey' && stage !== 'solve') return;
    if (kind === 'exiting') process.exit(3);
    parentPort.postMessage(stage);
  };
  await library.prune(model, { ...settings, output, onProgress, threads: 2 });
}

async function main(folder) {
  const ends = {};
  for (let round = 0; round < ROUNDS; round++) {
    for (const kind of ['whole', 'terminated', 'exiting']) {
      const code = await start(kind, path.join(folder, `${kind}-${round}`));
      (ends[kind] ??= []).push(code);
    }
  }
  // The main thread's own copy still works after theirs have gone.
  const plan = await library.plan(model, { ...settings, output: path.join(folder, 'plan') });
  console.log(JSON.stringify({ ends, planned: plan !== undefined }));
}

if (isMainThread) main(process.argv[2]);
else work(workerData);
