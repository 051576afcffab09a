// npm run test:hostile -- [COUNT] [--from SEED] [--kinds KIND,…]: mutated checkpoints, 100,000 by default (test/hostile/).
const { ensureAll } = require('./lib/ensure.js');
const { runMain } = require('./lib/setup-error.js');

runMain(() => {
  ensureAll();
  require('./lib/ts-register.js');
  require('../test/hostile/main.ts');
});
