// npm run package [-- [--prebuilt] [FOLDER]]: what is published, a folder each in .build/npm and an archive each in FOLDER, by default the
// checkout: struprune-native, which has no native code; @struprune-native/<system>, of this one; and the CUDA library's, where npm run build:cuda
// has built it for every target. --prebuilt takes every system's folder of prebuilds/, as other machines have filled it.
const fs = require('node:fs');
const path = require('node:path');
const { defaultTargets, targetsOf } = require('./lib/cuda.js');
const { ensureAll } = require('./lib/ensure.js');
const { withLock } = require('./lib/lock.js');
const { writeMainNotices, writePlatformNotices } = require('./lib/notices.js');
const { npm } = require('./lib/npm.js');
const { at, cmake, output } = require('./lib/paths.js');
const { run, say } = require('./lib/process.js');
const { runMain, SetupError } = require('./lib/setup-error.js');

const stage = path.join(cmake, 'npm');
const own = JSON.parse(fs.readFileSync(at('package.json'), 'utf8'));

function fresh(name) {
  const folder = path.join(stage, name);
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  return folder;
}

function packed(args) {
  const { status, output } = npm(['pack', '--ignore-scripts', '--json', ...args], {
    capture: 'stdout',
  });
  if (status !== 0) throw new SetupError('npm pack failed', 'see above', output);
  return JSON.parse(output)[0];
}

function writeManifest(folder, manifest) {
  fs.writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
}

/** A checkout asks for no package of ours: the names stand in what is published alone. */
function stageMain(platforms) {
  const folder = fresh(own.name);
  for (const { path: file } of packed(['--dry-run']).files) {
    fs.mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
    fs.copyFileSync(at(file), path.join(folder, file));
  }
  // `private` keeps the checkout from being published; here all files of the folder are meant.
  const { private: _private, files: _files, ...manifest } = own;
  const names = platforms.map((platform) => [`@${own.name}/${platform}`, own.version]);
  writeManifest(folder, { ...manifest, optionalDependencies: Object.fromEntries(names) });
  writeMainNotices(folder);
  return folder;
}

/** package.json of `@struprune-native/NAME`, for npm to install on `platform` alone. */
function manifestFor(name, platform, description) {
  const [os, cpu] = platform.split('-');
  return {
    name: `@${own.name}/${name}`,
    version: own.version,
    description,
    license: own.license,
    os: [os],
    cpu: [cpu],
    ...(os === 'linux' ? { libc: ['glibc'] } : {}),
    publishConfig: { access: 'public' },
  };
}

function stagePlatform(platform) {
  const folder = fresh(platform);
  const manifest = manifestFor(platform, platform, `The native code of ${own.name}: ${platform}.`);
  writeManifest(folder, manifest);
  fs.cpSync(at('prebuilds', platform), path.join(folder, 'prebuilds', platform), {
    recursive: true,
  });
  fs.copyFileSync(at('packages', 'platform', 'README.md'), path.join(folder, 'README.md'));
  fs.copyFileSync(at('LICENSE'), path.join(folder, 'LICENSE'));
  writePlatformNotices(folder, platform, manifest);
  return folder;
}

/** The folder in a list, or an empty list with a word on why. */
function stageCuda() {
  const library = path.join(output, 'struprune_cuda.so');
  if (!fs.existsSync(library)) return [];
  const { code } = targetsOf(library);
  const missing = defaultTargets().filter((target) => !code.includes(target));
  if (missing.length > 0) {
    say(
      `without the CUDA library, which has no code for ${missing.join(', ')}: npm run build:cuda`,
    );
    return [];
  }
  const name = 'linux-x64-cuda';
  const folder = fresh(name);
  writeManifest(folder, manifestFor(name, 'linux-x64', `The CUDA library of ${own.name}.`));
  fs.copyFileSync(library, path.join(folder, 'struprune_cuda.so'));
  for (const file of ['README.md', 'NOTICE']) {
    fs.copyFileSync(at('packages', 'cuda', file), path.join(folder, file));
  }
  fs.copyFileSync(at('LICENSE'), path.join(folder, 'LICENSE'));
  return [folder];
}

runMain(() => {
  const args = process.argv.slice(2);
  const isPrebuilt = args.includes('--prebuilt');
  const [to = at()] = args.filter((arg) => !arg.startsWith('--'));
  ensureAll();
  if (!isPrebuilt) {
    run(process.execPath, [at('scripts', 'prebuild.js')], {
      what: 'npm run prebuild',
      capture: 'none',
    });
  }
  const platforms = isPrebuilt
    ? fs.readdirSync(at('prebuilds')).sort()
    : [`${process.platform}-${process.arch}`];
  // Notices of other systems are in their wheels, which are fetched.
  const folders = withLock(() => [
    stageMain(platforms),
    ...platforms.map(stagePlatform),
    ...stageCuda(),
  ]);
  for (const folder of folders) {
    const { filename } = packed(['--pack-destination', path.resolve(to), folder]);
    console.log(path.join(to, filename));
  }
});
