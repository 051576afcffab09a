// exit.js OUTPUT STAGE: process.exit(7) while a native job of that stage runs.
const { library, model, settings } = require('./settings.js');

const [output, wanted] = process.argv.slice(2);
const onProgress = ({ stage }) => {
  // Shortly after: the next job has begun by then.
  if (stage === wanted) setTimeout(() => process.exit(7), 5);
};
library.prune(model, { ...settings, output, onProgress });
