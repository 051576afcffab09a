// dist/: the compiled library, its ESM entry, its types, and the files that it reads at run time.
const fs = require('node:fs');
const path = require('node:path');
const { run, say } = require('./process.js');
const { filesUnder, hashOf, isCurrent, writeStamp } = require('./stamp.js');
const { at, dist, modules } = require('./paths.js');

const tsc = path.join(modules, 'typescript', 'bin', 'tsc');

/** Type-checks library and tests without writing anything. */
function checkTypes() {
  run(process.execPath, [tsc, '--noEmit', '-p', at()], { what: 'tsc' });
}

/** Everything in lib/ that is not TypeScript is data of the module beside it. */
function copyAssets() {
  for (const file of filesUnder(at('lib'), (name) => !name.endsWith('.ts'))) {
    const target = path.join(dist, path.relative(at(), file));
    fs.mkdirSync(path.dirname(target), { recursive: true });
    fs.copyFileSync(file, target);
  }
}

/**
 * The report's charts with the parts of ECharts that they use, in one file: ECharts itself is 60 MB. Its licence and
 * zrender's go with it.
 */
function bundleCharts() {
  const folder = path.join('lib', 'report', 'charts');
  require('esbuild').buildSync({
    entryPoints: [at(folder, 'echarts.ts')],
    outfile: path.join(dist, folder, 'echarts.js'),
    allowOverwrite: true,
    bundle: true,
    minify: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    legalComments: 'none',
    logLevel: 'error',
  });
  const licences = [
    'echarts/LICENSE',
    'echarts/NOTICE',
    'echarts/licenses/LICENSE-d3',
    'zrender/LICENSE',
    'tslib/LICENSE.txt',
  ];
  const texts = licences.map((file) => {
    return `${file}\n\n${fs.readFileSync(path.join(modules, file), 'utf8')}`;
  });
  fs.writeFileSync(path.join(dist, folder, 'echarts.LICENSE'), texts.join('\n\n'));
}

/** An ES module over the CommonJS one: the same instance, whichever way it is imported. */
function writeEsmEntry() {
  const entry = path.join(dist, 'lib', 'index');
  const names = Object.keys(require(`${entry}.js`)).filter((name) => name !== 'default');
  const exports = names.map((name) => `export const ${name} = library.${name};\n`);
  fs.writeFileSync(`${entry}.mjs`, `import library from './index.js';\n\n${exports.join('')}`);
  fs.writeFileSync(`${entry}.d.mts`, `export * from './index.js';\n`);
}

/** Compiles lib/ to dist/ when a file of it has changed. */
function ensureDist() {
  const inputs = [
    'lib',
    'tsconfig.json',
    'tsconfig.build.json',
    'package-lock.json',
    'scripts/lib',
  ];
  const hash = hashOf(inputs.flatMap((input) => filesUnder(at(input))));
  const stamp = path.join(dist, '.stamp');
  if (isCurrent(stamp, hash)) return;
  say('compiling TypeScript');
  fs.rmSync(dist, { recursive: true, force: true });
  run(process.execPath, [tsc, '-p', at('tsconfig.build.json')], { what: 'tsc' });
  copyAssets();
  bundleCharts();
  writeEsmEntry();
  // With TypeScript, which set-up has installed by now.
  require('./declarations.js').bundleDeclarations();
  fs.chmodSync(path.join(dist, 'lib', 'cli', 'main.js'), 0o755);
  writeStamp(stamp, hash);
}

module.exports = { checkTypes, ensureDist };
