// forget.js: engines that nobody disposes of, each with two threads. Prints the threads of the process before, at
// the most, and after the garbage collector has run. Needs --expose-gc.
const fs = require('node:fs');
const { library } = require('./settings.js');

const threads = () => fs.readdirSync('/proc/self/task').length;
const pause = () => new Promise((resolve) => setTimeout(resolve, 20));

async function main() {
  new library.Engine({ threads: 2 });
  for (let i = 0; i < 10; i++) {
    global.gc();
    await pause();
  }
  const before = threads();
  let most = before;
  for (let i = 0; i < 200; i++) {
    new library.Engine({ threads: 3 });
    most = Math.max(most, threads());
    if (i % 20 === 19) {
      global.gc();
      await pause();
    }
  }
  for (let i = 0; i < 10; i++) {
    global.gc();
    await pause();
  }
  console.log(JSON.stringify({ before, most, after: threads() }));
}

main();
