// The utility process: prunes one model and ends. Electron gives it process.parentPort; everything that it says is
// a plain object: { type: 'progress', … }, { type: 'done', … } or { type: 'failed', … }.
const {
  embeddedModel,
  embeddedTexts,
  EMBEDDED_WINDOW,
  prune,
  pruneReport,
} = require('struprune-native');

const port = process.parentPort;
const stop = new AbortController();

/** The tiny model and texts of the package where the user has chosen none. */
function settingsFor({ model, calibration, output, sparsity }) {
  const texts = embeddedTexts();
  const own = model === null;
  return {
    model: model ?? embeddedModel(),
    options: {
      output,
      sparsity,
      calibration: calibration ?? texts.calibration,
      ...(own ? { window: EMBEDDED_WINDOW, calibrationTokens: 8192, surveyTokens: 4096 } : {}),
      // One core stays for the windows.
      threads: Math.max(1, require('node:os').availableParallelism() - 1),
      signal: stop.signal,
      onProgress: ({ stage, done, total, message, secondsLeft }) =>
        port.postMessage({ type: 'progress', stage, done, total, message, secondsLeft }),
      onNotice: (notice) => port.postMessage({ type: 'notice', notice }),
    },
  };
}

async function start(asked) {
  try {
    const { model, options } = settingsFor(asked);
    const result = await prune(model, options);
    port.postMessage({
      type: 'done',
      output: result.output,
      sparsity: result.sparsity,
      report: await pruneReport(model, options, result),
    });
  } catch (error) {
    const isCancelled = stop.signal.aborted;
    const { message, code = null, mend = '' } = error;
    port.postMessage({ type: 'failed', isCancelled, message, code, mend });
  } finally {
    // The messages are on their way before the process may end.
    setImmediate(() => process.exit());
  }
}

port.on('message', ({ data }) => {
  if (data.type === 'start') start(data.options);
  if (data.type === 'cancel') stop.abort(new Error('cancelled'));
});
