/**
 * What npm would publish, as somebody gets it: packed, installed into an empty folder with nothing on PATH but Node, then
 * used. Neither a compiler nor Python nor an install script may be needed.
 */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test from 'ava';
import { ROOT } from '../embed/programs';

/** Of JavaScript, models, texts and sources, unpacked; of the system's native code, packed (issue P, point 2). */
const LIMITS = { main: 12e6, platform: 20e6 };
const PLATFORM = `${process.platform}-${process.arch}`;
const NPM = join(dirname(process.execPath), 'npm');

/** .ci/run has built it before; elsewhere it may be absent. */
const CUDA = join(ROOT, 'build', 'Release', 'struprune_cuda.so');
const hadCuda = existsSync(CUDA);

let folder: string;
let consumer: string;
let library: string;
/** The package of the addon, installed and packed. */
let platform: string;
let platformArchive: string;
let env: NodeJS.ProcessEnv;
const seconds: Record<string, number> = {};

function timed<T>(name: string, work: () => T): T {
  const start = performance.now();
  const result = work();
  seconds[name] = Number(((performance.now() - start) / 1000).toFixed(1));
  return result;
}

function bytesUnder(path: string): number {
  if (!statSync(path).isDirectory()) return statSync(path).size;
  return readdirSync(path).reduce((sum, name) => sum + bytesUnder(join(path, name)), 0);
}

const inConsumer = (program: string, ...args: string[]) =>
  execFileSync(join(folder, 'bin', program), args, { cwd: consumer, env, encoding: 'utf8' });

test.before(() => {
  folder = mkdtempSync(join(tmpdir(), 'struprune-package-'));
  const said = execFileSync(process.execPath, ['scripts/package.js', folder], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  const archives = said.trim().split('\n');
  const [main] = archives;
  platformArchive = archives.find((file) => file.includes(`-${PLATFORM}-0.`))!;
  // The programs of a bare machine with Node: npm runs packages' programs by sh and env.
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  for (const name of ['node', 'npm', 'npx']) symlinkSync(join(dirname(NPM), name), join(bin, name));
  for (const name of ['sh', 'env']) symlinkSync(join('/bin', name), join(bin, name));
  env = { PATH: bin, HOME: folder, npm_config_cache: join(folder, 'cache'), ...registryOf() };
  consumer = join(folder, 'consumer');
  mkdirSync(consumer);
  writeFileSync(join(consumer, 'package.json'), '{ "private": true }');
  timed('install', () =>
    inConsumer(
      'npm',
      'install',
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      main!,
      platformArchive,
    ),
  );
  library = join(consumer, 'node_modules', 'struprune-native');
  platform = join(consumer, 'node_modules', '@struprune-native', PLATFORM);
});

const manifestIn = (installed: string) =>
  JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));

test.after.always(() => rmSync(folder, { recursive: true, force: true }));

/** Where this machine's npm gets its packages from. */
function registryOf(): NodeJS.ProcessEnv {
  const registry = execFileSync('npm', ['config', 'get', 'registry'], { encoding: 'utf8' }).trim();
  return { npm_config_registry: registry, ...proxies() };
}

function proxies(): NodeJS.ProcessEnv {
  const names = Object.keys(process.env).filter((name) =>
    /^(https?_proxy|no_proxy|NODE_EXTRA_CA_CERTS)$/i.test(name),
  );
  return Object.fromEntries(names.map((name) => [name, process.env[name]]));
}

test.serial('they are small, run no script and carry their licences', (t) => {
  const bytes = bytesUnder(library);
  const packed = statSync(platformArchive).size;
  t.log(
    `${(bytes / 1e6).toFixed(1)} MB, its native code ${(packed / 1e6).toFixed(1)} MB packed, ${(bytesUnder(join(consumer, 'node_modules')) / 1e6).toFixed(1)} MB with all dependencies`,
  );
  t.true(bytes <= LIMITS.main, `${bytes} bytes`);
  t.true(packed <= LIMITS.platform, `${packed} bytes`);
  for (const installed of [library, platform]) {
    const { scripts = {} } = manifestIn(installed);
    for (const name of ['preinstall', 'install', 'postinstall']) t.is(scripts[name], undefined);
    t.false(existsSync(join(installed, 'binding.gyp')), 'npm would run node-gyp');
    t.true(existsSync(join(installed, 'LICENSE')));
  }
  t.false(existsSync(join(library, 'prebuilds')));
  const { dependencies, optionalDependencies, version } = manifestIn(library);
  t.is(optionalDependencies[`@struprune-native/${PLATFORM}`], version);
  const carried = [
    [library, ['echarts', 'zrender'], ['echarts', ...Object.keys(dependencies)]],
    [platform, ['OpenBLAS', 'libquadmath', 'simdjson'], ['scipy-openblas32', '@nozbe/simdjson']],
  ] as const;
  for (const [installed, named, components] of carried) {
    const notices = readFileSync(join(installed, 'THIRD-PARTY-NOTICES.txt'), 'utf8');
    for (const name of named) t.true(notices.includes(name), name);
    const bom = JSON.parse(readFileSync(join(installed, 'sbom.cdx.json'), 'utf8'));
    t.is(bom.bomFormat, 'CycloneDX');
    const listed = bom.components.map(({ name }: { name: string }) => name);
    for (const name of components) t.true(listed.includes(name), `${name} is in the SBOM`);
  }
});

const built = hadCuda ? test.serial : test.serial.skip;
built('packing leaves the CUDA library that was built where it was', (t) => {
  t.true(existsSync(CUDA));
});

test.serial('the demo, then a prune of the embedded model', (t) => {
  const said = timed('first result', () => inConsumer('npx', 'struprune-native', 'demo'));
  t.regex(said, /perplexity +\d/);
  const script = `
    const s = require('struprune-native');
    const { calibration } = s.embeddedTexts();
    s.prune(s.embeddedModel(), { output: 'out', sparsity: 0.3, calibration, calibrationTokens: 2048, surveyTokens: 1024, window: 256 })
      .then((result) => console.log(result.sparsity));`;
  t.true(Number(inConsumer('node', '-e', script)) >= 0.3);
  t.true(existsSync(join(consumer, 'out', 'model.safetensors')));
  t.is(
    inConsumer(
      'node',
      '--input-type=module',
      '-e',
      "import { prune } from 'struprune-native'; console.log(typeof prune)",
    ).trim(),
    'function',
  );
  t.log(`seconds: ${JSON.stringify(seconds)}`);
});

test.serial('the CUDA library is found in its own package, and nowhere without it', (t) => {
  const ask = () =>
    inConsumer(
      'node',
      '-p',
      `require('${library}/dist/lib/engine/native-files.js').cudaLibrary()`,
    ).trim();
  t.false(existsSync(ask()));
  const cuda = `${platform}-cuda`;
  mkdirSync(cuda);
  writeFileSync(join(cuda, 'struprune_cuda.so'), '');
  t.is(ask(), join(cuda, 'struprune_cuda.so'));
});

test.serial('without a prebuilt addon the error says what to run and what is missing', (t) => {
  renameSync(platform, join(folder, 'platform'));
  const help = inConsumer('npx', 'struprune-native', '--help');
  const error = t.throws(() => inConsumer('npx', 'struprune-native', 'devices'));
  renameSync(join(folder, 'platform'), platform);
  t.regex(help, /prune/, 'help needs no addon');
  const { stderr, status } = error as unknown as { stderr: string; status: number };
  t.is(status, 7);
  t.regex(stderr, /^error: .*\[ERR_ADDON\]/m);
  t.regex(stderr, /scripts\/compile\.js --native/);
  t.regex(stderr, /not on PATH: cmake, c\+\+, make, python3/);
});

test.serial('it carries the sources from which that command builds', (t) => {
  const names = [
    'CMakeLists.txt',
    'native/addon/addon.cpp',
    'cmake/Addon.cmake',
    'scripts/compile.js',
  ];
  for (const name of names) t.true(existsSync(join(library, name)), name);
});
