// node_modules, as package-lock.json has it.
const fs = require('node:fs');
const path = require('node:path');
const { attempt, say } = require('./process.js');
const { SetupError } = require('./setup-error.js');
const { at, modules } = require('./paths.js');

/** Runs npm: the one that runs this script where there is one. */
function npm(args, options) {
  const self = process.env.npm_execpath;
  return self?.endsWith('.js')
    ? attempt(process.execPath, [self, ...args], options)
    : attempt('npm', args, options);
}

function packagesOf(lockFile) {
  return fs.existsSync(lockFile) ? JSON.parse(fs.readFileSync(lockFile, 'utf8')).packages : {};
}

/** Whether everything that the lock file asks for on this platform is installed in its version. */
function isInstalled() {
  const installed = packagesOf(path.join(modules, '.package-lock.json'));
  return Object.entries(packagesOf(at('package-lock.json'))).every(
    ([name, wanted]) =>
      name === '' || wanted.optional || installed[name]?.version === wanted.version,
  );
}

/** What the addon is compiled from, of which an installed package has nothing. */
const OF_THE_ADDON = ['node-addon-api', 'node-api-headers', '@nozbe/simdjson'];

/** In an installed package, which npm gives no lock file: only what the addon is compiled from. */
function ensureAddonModules() {
  const { devDependencies } = JSON.parse(fs.readFileSync(at('package.json'), 'utf8'));
  const wanted = OF_THE_ADDON.filter((name) => !fs.existsSync(path.join(modules, name)));
  if (wanted.length === 0) return;
  const specs = wanted.map((name) => `${name}@${devDependencies[name]}`);
  say(`fetching ${specs.join(', ')}`);
  const folder = at('.deps', 'npm');
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, 'package.json'), '{ "private": true }\n');
  const args = ['install', '--ignore-scripts', '--no-audit', '--no-fund', ...specs];
  const { status, output } = npm(args, { cwd: folder });
  if (status !== 0) throw new SetupError('npm install failed', 'check the network', output);
  for (const name of wanted) {
    fs.cpSync(path.join(folder, 'node_modules', name), path.join(modules, name), {
      recursive: true,
    });
  }
}

function ensureModules() {
  if (!fs.existsSync(at('package-lock.json'))) return ensureAddonModules();
  if (isInstalled()) return;
  say('installing npm packages');
  const { status, output } = npm(['ci', '--ignore-scripts', '--no-audit', '--no-fund']);
  if (status === 0) return;
  if (status === 127) {
    throw new SetupError('npm is not on PATH', 'install Node.js 20 with npm');
  }
  const outOfStep = /in sync|EUSAGE/.test(output);
  throw new SetupError(
    'npm ci failed',
    outOfStep
      ? 'package.json and package-lock.json differ: run `npm install` and try again'
      : 'check the network: set-up needs the npm registry once (behind a mirror: `npm config set registry URL`)',
    output,
  );
}

module.exports = { npm, ensureModules };
