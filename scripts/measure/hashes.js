// SHA-256 of what prunes write: all files of an output but the model card, which quotes the command.
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { filesUnder } = require('../lib/stamp.js');

const CARD = 'README.md';

/** SHA-256 of every file under a folder, by its name there. */
function hashesOf(folder) {
  const files = filesUnder(folder).map((file) => [
    path.relative(folder, file),
    createHash('sha256').update(fs.readFileSync(file)).digest('hex'),
  ]);
  return new Map(files);
}

/** One for all of them. A folder of one file has the file's own. */
function hashOfAll(hashes) {
  const files = [...hashes].filter(([name]) => path.basename(name) !== CARD);
  if (files.length === 1) return files[0][1];
  return createHash('sha256').update(JSON.stringify(files)).digest('hex');
}

module.exports = { CARD, hashesOf, hashOfAll };
