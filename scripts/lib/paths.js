// Where things lie. Everything made by the scripts is in git-ignored folders of the checkout.
const path = require('node:path');

const root = path.resolve(__dirname, '../..');
const at = (...parts) => path.join(root, ...parts);

module.exports = {
  root,
  at,
  deps: at('.deps'),
  oracles: at('.oracles'),
  cmake: at('.build'),
  output: at('build', 'Release'),
  addon: at('build', 'Release', 'struprune.node'),
  modules: at('node_modules'),
  dist: at('dist'),
};
