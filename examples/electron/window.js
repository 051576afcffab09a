// The page: knows nothing but window.struprune, which preload.js gives it.
const { struprune } = window;
const element = (id) => document.getElementById(id);
const chosen = { model: null, calibration: null };

function setRunning(isRunning) {
  element('start').disabled = isRunning;
  element('cancel').disabled = !isRunning;
}

async function choose(key, id, ask) {
  const path = await ask();
  if (path === null) return;
  chosen[key] = path;
  element(id).textContent = path;
}

const listeners = {
  progress({ stage, done, total, message, secondsLeft }) {
    element('bar').max = total;
    element('bar').value = done;
    const left =
      secondsLeft === null ? '' : `, about ${Math.ceil(secondsLeft)} s of this stage left`;
    element('status').textContent = `${stage}: ${message}${left}`;
  },
  notice({ notice }) {
    element('status').textContent = notice;
  },
  done({ output, sparsity, report }) {
    setRunning(false);
    element('bar').value = element('bar').max;
    element('status').textContent =
      `${(100 * sparsity).toFixed(1)} % removed, written to ${output}`;
    element('report').srcdoc = report;
    element('report').hidden = false;
  },
  failed({ isCancelled, message }) {
    setRunning(false);
    element('status').textContent = isCancelled ? 'Cancelled.' : `Failed: ${message}`;
  },
};

struprune.onMessage((message) => listeners[message.type](message));
element('choose-model').addEventListener('click', () =>
  choose('model', 'model', struprune.chooseModel),
);
element('choose-text').addEventListener('click', () =>
  choose('calibration', 'text', struprune.chooseText),
);
element('cancel').addEventListener('click', () => struprune.cancel());
element('form').addEventListener('submit', (event) => {
  event.preventDefault();
  setRunning(true);
  element('report').hidden = true;
  element('status').textContent = 'Starting.';
  struprune.start({ ...chosen, output: null, sparsity: element('sparsity').valueAsNumber });
});
