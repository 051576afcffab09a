// Functions in the table of the CUDA library, and who calls them.
const path = require('node:path');
const { houses } = require('./order.js');
const { sourcesIn, withoutComments } = require('./sources.js');

/** { all, byNone, byBenches }: names of the table's functions; those that no product file calls, or only benchmarks do. */
function cuda() {
  const { abi, benches, tests } = houses.native;
  const [, table] = /struct Api \{([\s\S]*?)\n\};/.exec(withoutComments(abi));
  const all = [...table.matchAll(/\(\*(\w+)\)\(/g)].map(([, name]) => name);
  const library = `${path.dirname(abi)}/`;
  const isTest = (file) => tests.some((room) => file.startsWith(`native/${room}/`));
  const callers = sourcesIn('native')
    .filter((file) => /\.(h|cpp)$/.test(file) && !file.startsWith(library) && !isTest(file))
    .map((file) => ({
      isBench: benches.some((room) => file.startsWith(`native/${room}/`)),
      text: withoutComments(file),
    }));
  const callersOf = (name) => {
    const call = new RegExp(`(Api::|api\\(\\)\\.|api_->)${name}\\b`);
    return callers.filter(({ text }) => call.test(text));
  };
  const byNone = all.filter((name) => callersOf(name).length === 0);
  const byBenches = all.filter(
    (name) => !byNone.includes(name) && callersOf(name).every(({ isBench }) => isBench),
  );
  return { all, byNone, byBenches };
}

module.exports = { cuda };
