// npm run test:real: the tests in test/real, which package.json's own list leaves out.
const { ava } = require('./package.json');

module.exports = {
  ...ava,
  files: ['test/real/**/*.test.ts'],
  // Each holds a model and uses every core.
  serial: true,
  concurrency: 1,
  timeout: '20m',
};
