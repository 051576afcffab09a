// exit-at-work.js: process.exit(7) beside two engines, one of them at a native job of a minute.
const path = require('node:path');
const { library } = require('./settings.js');
const { native } = require(path.join(path.dirname(process.env.STRUPRUNE_DIST), 'engine', 'native.js'));

const engine = new library.Engine({ threads: 1 });
new library.Engine({ threads: 1 }).dispose();
// What waits for a job holds its engine, or a garbage collection would end it.
native.measureGemm(engine.handle, 256, 256, 60, 'measuring').finally(() => engine.dispose());
setTimeout(() => process.exit(7), 200);
