// npm run test:sanitizers: the native tests under AddressSanitizer and UBSan, and the threaded ones under
// ThreadSanitizer.
const { ensureModules } = require('./lib/npm.js');
const { runNativeTests } = require('./lib/native-tests.js');
const { runMain } = require('./lib/setup-error.js');
const { add, close } = require('./lib/tally.js');

// Whole sites on the emulated GPU take up to two minutes each. Two kinds of product go through them with every piece of
// device memory on its own, where AddressSanitizer sees its ends; the ops of the other families have tests of their own. Budgets
// are kept with one kind.
const slow = [
  ...['EqualsTheCpu/*', 'NothingIsReadBeforeItIsWritten/Libraries*16*', '*/LibrariesTf32'].map(
    (name) => `*GpuSite.${name}`,
  ),
  ...['*Gpu*Limits.*/BuiltInF32', '*GpuNeedsOfHalves.*'],
];

runMain(async () => {
  ensureModules();
  const memory = await runNativeTests('asan', {
    options: { STRUPRUNE_SANITIZE: 'address,undefined', STRUPRUNE_ADDON: 'OFF' },
    filter: `-${slow.join(':')}`,
    env: { UBSAN_OPTIONS: 'print_stacktrace=1' },
  });
  const threads = await runNativeTests('tsan', {
    options: { STRUPRUNE_SANITIZE: 'thread', STRUPRUNE_ADDON: 'OFF' },
    filter: '*Pool*:*Page*:*Tile*:*Limits*:SweepTraffic*:*Parallel*:*Thread*:*Abort*',
  });
  close(add(memory, threads));
});
