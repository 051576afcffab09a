// npm run build:cross -- SYSTEM…: prebuilds/SYSTEM of other systems than this one, such as linux-arm64; docs/building.md
// says with which compilers. `npm run package -- --prebuilt` packs them.
const fs = require('node:fs');
const path = require('node:path');
const { SYSTEMS, buildFor } = require('./lib/cross.js');
const { withLock } = require('./lib/lock.js');
const { ensureModules } = require('./lib/npm.js');
const { root } = require('./lib/paths.js');
const { say } = require('./lib/process.js');
const { runMain, SetupError } = require('./lib/setup-error.js');

runMain(() => {
  const known = Object.keys(SYSTEMS);
  const systems = process.argv.slice(2);
  const unknown = systems.filter((system) => !known.includes(system));
  if (systems.length === 0 || unknown.length > 0) {
    throw new SetupError(
      unknown.length > 0 ? `${unknown.join(', ')} cannot be built for` : 'no system was named',
      `name some of ${known.join(', ')}`,
    );
  }
  withLock(() => {
    ensureModules();
    for (const system of systems) {
      const folder = buildFor(system);
      say(`${path.relative(root, folder)}: ${fs.readdirSync(folder).join(', ')}`);
    }
  });
});
