// One set-up at a time in a checkout: two npm commands started together must not build over each other.
const fs = require('node:fs');
const path = require('node:path');
const { say } = require('./process.js');
const { deps } = require('./paths.js');

const pause = (milliseconds) =>
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** The process that holds the lock, or undefined when it has died or the file has gone. */
function holder(lockFile) {
  try {
    const pid = Number(fs.readFileSync(lockFile, 'utf8'));
    return pid > 0 && isAlive(pid) ? pid : undefined;
  } catch {
    return undefined;
  }
}

function take(lockFile) {
  // Written before it gets its name, so that no one reads a lock without a holder.
  const mine = `${lockFile}.${process.pid}`;
  fs.writeFileSync(mine, String(process.pid));
  try {
    fs.linkSync(mine, lockFile);
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
    return false;
  } finally {
    fs.rmSync(mine, { force: true });
  }
}

/** Runs work() while holding the lock. Scripts started inside (binding.gyp's action) share it. */
function withLock(work) {
  if (process.env.STRUPRUNE_SETUP_LOCKED) return work();
  return holding('setup', () => {
    process.env.STRUPRUNE_SETUP_LOCKED = '1';
    try {
      return work();
    } finally {
      delete process.env.STRUPRUNE_SETUP_LOCKED;
    }
  });
}

/** Runs work() while holding the lock of that name. */
function holding(name, work) {
  const lockFile = path.join(deps, `${name}.lock`);
  fs.mkdirSync(deps, { recursive: true });
  let told = false;
  while (!take(lockFile)) {
    const pid = holder(lockFile);
    if (pid === undefined) {
      fs.rmSync(lockFile, { force: true });
      continue;
    }
    if (!told) say(`waiting for another set-up in this checkout (process ${pid})`);
    told = true;
    pause(200);
  }
  try {
    return work();
  } finally {
    fs.rmSync(lockFile, { force: true });
  }
}

module.exports = { holding, withLock };
