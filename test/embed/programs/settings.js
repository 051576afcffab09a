// The embedded model and settings under which a prune takes a second.
const library = require(process.env.STRUPRUNE_DIST);

const { calibration } = library.embeddedTexts();
const window = library.EMBEDDED_WINDOW;

module.exports = {
  library,
  model: library.embeddedModel(),
  settings: { calibration, calibrationTokens: 4 * window, tuneTokens: 0, surveyTokens: 2 * window, window, sparsity: 0.2 },
};
