// Stamps: a step is skipped when the hash of all its inputs is the one of its last success.
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');

/** All files under a file or folder, sorted, so that the order never depends on the disk. */
function filesUnder(start, keep = () => true) {
  if (!fs.existsSync(start)) return [];
  if (fs.statSync(start).isFile()) return keep(start) ? [start] : [];
  return fs
    .readdirSync(start)
    .sort()
    .flatMap((name) => filesUnder(path.join(start, name), keep));
}

/** SHA-256 over the names and contents of files and over further values. */
function hashOf(files, values = []) {
  const hash = crypto.createHash('sha256').update(JSON.stringify(values));
  for (const file of files) {
    const content = fs.readFileSync(file);
    hash.update(`\0${file}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex');
}

function isCurrent(stamp, hash) {
  return fs.existsSync(stamp) && fs.readFileSync(stamp, 'utf8') === hash;
}

function writeStamp(stamp, hash) {
  fs.mkdirSync(path.dirname(stamp), { recursive: true });
  fs.writeFileSync(stamp, hash);
}

/** Empties a folder, fills it, and stamps it unless that threw. */
function fillOnce(folder, hash, fill) {
  const stamp = path.join(folder, '.stamp');
  if (isCurrent(stamp, hash)) return;
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  fill();
  writeStamp(stamp, hash);
}

module.exports = { filesUnder, fillOnce, hashOf, isCurrent, writeStamp };
