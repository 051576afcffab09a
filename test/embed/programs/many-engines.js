// many-engines.js: listeners to the end of the process that the library has beside many engines, and after them.
const { library } = require('./settings.js');

async function main() {
  const before = process.listenerCount('exit');
  const engines = Array.from({ length: 20 }, () => new library.Engine({ threads: 1 }));
  const beside = process.listenerCount('exit');
  for (const engine of engines) await engine.dispose();
  console.log(JSON.stringify({ with: beside - before, without: process.listenerCount('exit') - before }));
}

main();
