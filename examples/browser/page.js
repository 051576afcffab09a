// Runs a picture through both models. They read [1, 3, height, width] with ImageNet's mean and deviation, as classifiers do.
import * as ort from '/ort/ort.wasm.min.mjs';

const MEAN = [0.485, 0.456, 0.406];
const DEVIATION = [0.229, 0.224, 0.225];
const ROUNDS = 21;
const MODELS = ['dense', 'pruned'];

const at = (id) => document.getElementById(id);
const canvas = at('canvas');
const paper = canvas.getContext('2d', { willReadFrequently: true });
const threads = Number(new URL(location.href).searchParams.get('threads') ?? 1);
// They are set before the first model is loaded, once for the page.
ort.env.wasm.numThreads = threads;
ort.env.wasm.wasmPaths = '/ort/';

const say = (text) => {
  at('status').textContent = text;
};
const show = (row, model, text) => {
  at(row).querySelectorAll('td')[MODELS.indexOf(model)].textContent = text;
};

async function load(model) {
  const bytes = await (await fetch(`/${model}.onnx`)).arrayBuffer();
  show('bytes', model, bytes.byteLength.toLocaleString('en'));
  return ort.InferenceSession.create(bytes, { executionProviders: ['wasm'] });
}

/** Lines of words: what a classifier of pages sees when no picture was chosen. */
function drawPage() {
  const { width, height } = canvas;
  paper.fillStyle = '#fff';
  paper.fillRect(0, 0, width, height);
  paper.fillStyle = '#222';
  paper.font = `${Math.round(height / 14)}px sans-serif`;
  const lines = [
    'What is pruned here is',
    'a network that tells how',
    'a page lies. Half of its',
    'weights have gone, and',
    'the others took over',
    'what those gave. It was',
    'not trained again.',
  ];
  lines.forEach((line, i) => {
    paper.fillText(line, width / 16, ((i + 1.4) * height) / 8);
  });
}

function drawImage(image) {
  const { width, height } = canvas;
  const scale = Math.max(width / image.width, height / image.height);
  const [w, h] = [image.width * scale, image.height * scale];
  paper.drawImage(image, (width - w) / 2, (height - h) / 2, w, h);
}

function turn() {
  const copy = new OffscreenCanvas(canvas.width, canvas.height);
  copy.getContext('2d').drawImage(canvas, 0, 0);
  paper.save();
  paper.translate(canvas.width, 0);
  paper.rotate(Math.PI / 2);
  paper.drawImage(copy, 0, 0);
  paper.restore();
}

/** [1, 3, height, width] of the canvas. */
function tensor() {
  const { width, height } = canvas;
  const { data } = paper.getImageData(0, 0, width, height);
  const size = width * height;
  const values = Float32Array.from({ length: 3 * size }, (_, i) => {
    const channel = Math.floor(i / size);
    return (data[4 * (i % size) + channel] / 255 - MEAN[channel]) / DEVIATION[channel];
  });
  return new ort.Tensor('float32', values, [1, 3, height, width]);
}

/** Of logits their softmax; probabilities stay. */
function probabilities(values) {
  const isShare =
    values.every((each) => each >= 0) && Math.abs(values.reduce((a, b) => a + b) - 1) < 1e-3;
  if (isShare) return values;
  const most = Math.max(...values);
  const shares = values.map((each) => Math.exp(each - most));
  const sum = shares.reduce((a, b) => a + b);
  return shares.map((each) => each / sum);
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

/** Both in turn, so that what else the machine does falls on both. */
async function run(sessions, labels) {
  say('Running.');
  const input = tensor();
  const times = { dense: [], pruned: [] };
  const answers = {};
  for (let round = 0; round < ROUNDS; round++) {
    await new Promise(requestAnimationFrame);
    for (const model of MODELS) {
      const session = sessions[model];
      const start = performance.now();
      const outputs = await session.run({ [session.inputNames[0]]: input });
      times[model].push(performance.now() - start);
      answers[model] = probabilities([...outputs[session.outputNames[0]].data]);
    }
  }
  for (const model of MODELS) {
    const best = answers[model].map((share, i) => [share, labels[i] ?? `class ${i}`]);
    best.sort(([a], [b]) => b - a);
    const lines = best
      .slice(0, 3)
      .map(([share, label]) => `${label}: ${(100 * share).toFixed(2)} %`);
    show('answer', model, lines.join('\n'));
    show('time', model, `${median(times[model]).toFixed(2)} ms`);
  }
  const ratio = median(times.dense) / median(times.pruned);
  say(`Pruned takes 1/${ratio.toFixed(2)} of the time.`);
}

async function main() {
  at('threads').value = String(threads);
  at('threads').addEventListener('change', ({ target }) => {
    location.search = `?threads=${target.value}`;
  });
  const labels = await (await fetch('/labels.json')).json();
  const sessions = {};
  for (const model of MODELS) sessions[model] = await load(model);
  const [, , height, width] = sessions.dense.inputMetadata[0].shape;
  if (typeof height === 'number') canvas.height = height;
  if (typeof width === 'number') canvas.width = width;
  drawPage();
  const again = () => run(sessions, labels);
  at('turn').addEventListener('click', () => {
    turn();
    again();
  });
  at('picture').addEventListener('change', async ({ target }) => {
    drawImage(await createImageBitmap(target.files[0]));
    again();
  });
  await again();
}

main().catch((error) => say(`Failed: ${error.message}`));
