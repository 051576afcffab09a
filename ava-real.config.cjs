// npm run test:real: the tests in test/real, which package.json's own list leaves out.
const { ava } = require('./package.json');

module.exports = {
  ...ava,
  files: ['test/real/**/*.test.ts'],
  // Torch starts on one core while another file is at work.
  serial: true,
  concurrency: 2,
  timeout: '20m',
};
