// npm run test:sanitizers: the native tests under AddressSanitizer and UBSan, and the threaded ones under
// ThreadSanitizer.
const { ensureModules } = require('./lib/npm.js');
const { runNativeTests } = require('./lib/native-tests.js');
const { runMain } = require('./lib/setup-error.js');
const { add, close } = require('./lib/tally.js');

runMain(() => {
  ensureModules();
  const memory = runNativeTests('asan', {
    options: { STRUPRUNE_SANITIZE: 'address,undefined', STRUPRUNE_ADDON: 'OFF' },
    // Whole sites on the emulated GPU, a minute each: one kind of product is enough, the others run in smaller ones.
    filter: '-*GpuSite.EqualsTheCpu/Libraries*',
    env: { UBSAN_OPTIONS: 'print_stacktrace=1' },
  });
  const threads = runNativeTests('tsan', {
    options: { STRUPRUNE_SANITIZE: 'thread', STRUPRUNE_ADDON: 'OFF' },
    filter: '*Pool*:*Page*:*Tile*:*Limits*:SweepTraffic*:*Parallel*:*Thread*:*Abort*',
  });
  close(add(memory, threads));
});
