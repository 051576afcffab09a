// GoogleTest binaries, counted from their JSON reports.
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { attemptBesides, say } = require('./process.js');
const { filesUnder } = require('./stamp.js');
const { buildOptions, cmakeBuild, ensureDependencies } = require('./native.js');
const { at } = require('./paths.js');
const { add, none, single } = require('./tally.js');

const MISSING = 'GoogleTest is not installed (Debian: apt-get install libgtest-dev)';

function hasGoogleTest() {
  const folders = ['/usr/include', '/usr/local/include', ...(process.env.CPATH ?? '').split(':')];
  return folders.some((folder) => fs.existsSync(path.join(folder, 'gtest', 'gtest.h')));
}

function countReport(file) {
  const tally = none();
  for (const suite of JSON.parse(fs.readFileSync(file, 'utf8')).testsuites) {
    for (const test of suite.testsuite) {
      if (test.failures) tally.failed += 1;
      else if (test.result === 'COMPLETED') tally.passed += 1;
      else tally.skipped += 1;
    }
  }
  return tally;
}

/** Runs a part of the tests; its counts, after what it printed has been shown. */
async function runShard(program, { args, env, report }) {
  fs.rmSync(report, { force: true });
  const { status, output } = await attemptBesides(program, args, { env });
  process.stdout.write(output);
  // A crash, or a sanitizer's report, leaves no file or a file without a failure.
  if (!fs.existsSync(report)) return single(false);
  const tally = countReport(report);
  if (status !== 0 && tally.failed === 0) tally.failed = 1;
  return tally;
}

/**
 * Builds struprune_tests in .build/<name> with further CMake options and runs it; `filter` as
 * --gtest_filter. Most tests use one core, so two parts run beside each other. Returns the counts. Without
 * GoogleTest says so and counts one test as skipped.
 */
async function runNativeTests(name = 'cmake', { options = {}, filter = '*', env = {} } = {}) {
  const isTest = (file) => file.endsWith('_test.cpp');
  if (filesUnder(at('native', 'test'), isTest).length === 0) return none();
  if (!hasGoogleTest()) {
    say(`native tests skipped: ${MISSING}`);
    return { ...none(), skipped: 1 };
  }
  say(`building the native tests (.build/${name})`);
  ensureDependencies();
  const folder = cmakeBuild(name, 'struprune_tests', { ...buildOptions(), ...options });
  const shards = Math.min(2, os.availableParallelism());
  const parts = Array.from({ length: shards }, (_, index) => {
    const report = path.join(folder, `struprune_tests.${index}.json`);
    const args = [`--gtest_filter=${filter}`, `--gtest_output=json:${report}`, '--gtest_brief=1'];
    const shard = { GTEST_TOTAL_SHARDS: String(shards), GTEST_SHARD_INDEX: String(index) };
    return { args, report, env: { ...env, ...shard } };
  });
  const program = path.join(folder, 'struprune_tests');
  return add(...(await Promise.all(parts.map((part) => runShard(program, part)))));
}

module.exports = { hasGoogleTest, runNativeTests };
