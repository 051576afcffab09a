// kill-at.js OUTPUT RESULT OPTIONS [BLOCKS]: prunes the embedded model and writes the result's blocks to the file RESULT; or
// kills its process when so many blocks are solved.
const fs = require('node:fs');
const library = require(process.env.STRUPRUNE_DIST);

const [output, result, options, blocks] = process.argv.slice(2);
const onProgress = ({ stage, done }) => {
  if (stage === 'solve' && done === Number(blocks)) process.kill(process.pid, 'SIGKILL');
};
const { calibration } = library.embeddedTexts();
library
  .prune(library.embeddedModel(), { output, calibration, onProgress, ...JSON.parse(options) })
  .then(({ layers, resumedBlocks }) =>
    fs.writeFileSync(result, JSON.stringify({ layers, resumedBlocks })),
  );
