// npm test: set-up, type check, native tests (where GoogleTest is installed) and ava. With arguments only
// ava, on those patterns: npm test -- test/allocation/*.test.ts
const os = require('node:os');
const { runAva } = require('./lib/ava.js');
const { ensureAll } = require('./lib/ensure.js');
const { runNativeTests } = require('./lib/native-tests.js');
const { say } = require('./lib/process.js');
const { runMain } = require('./lib/setup-error.js');
const { add, close, none, single } = require('./lib/tally.js');
const { checkTypes } = require('./lib/typescript.js');

/** The result of a step that throws a SetupError when it fails: shown, counted, and the next ones run. */
async function guarded(step) {
  try {
    return await step();
  } catch (error) {
    if (!error.output) throw error;
    say(`${error.output}\n${error.message}`);
    return single(false);
  }
}

runMain(async () => {
  ensureAll();
  const patterns = process.argv.slice(2);
  // ava's own choice leaves one core alone, of two the half; in CI it is two, for cores may be shared there.
  const workers = process.env.CI ? [] : ['--concurrency', String(os.availableParallelism())];
  const ava = (files) => runAva([...workers, ...files]);
  if (patterns.length > 0) return close(await ava(patterns));
  const types = await guarded(() => {
    checkTypes();
    return none();
  });
  const native = await guarded(() => runNativeTests());
  return close(add(types, native, await ava([])));
});
