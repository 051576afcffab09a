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

const LIMIT = 40e6;
const NPM = join(dirname(process.execPath), 'npm');

/** .ci/run has built it before; elsewhere it may be absent. */
const CUDA = join(ROOT, 'build', 'Release', 'struprune_cuda.so');
const hadCuda = existsSync(CUDA);

let folder: string;
let consumer: string;
let library: string;
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
  const packed = execFileSync('npm', ['pack', '--json', '--pack-destination', folder], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  const [{ filename }] = JSON.parse(packed.slice(packed.indexOf('[\n')));
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
      join(folder, filename),
    ),
  );
  library = join(consumer, 'node_modules', 'struprune-native');
});

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

test.serial('it is small, runs no script and carries its licences', (t) => {
  const bytes = bytesUnder(library);
  t.log(
    `${(bytes / 1e6).toFixed(1)} MB unpacked, ${(bytesUnder(join(consumer, 'node_modules')) / 1e6).toFixed(1)} MB with its dependencies`,
  );
  t.true(bytes <= LIMIT, `${bytes} bytes`);
  const { scripts, dependencies } = JSON.parse(readFileSync(join(library, 'package.json'), 'utf8'));
  for (const name of ['preinstall', 'install', 'postinstall']) t.is(scripts[name], undefined);
  t.false(existsSync(join(library, 'binding.gyp')), 'npm would run node-gyp');
  const notices = readFileSync(join(library, 'THIRD-PARTY-NOTICES.txt'), 'utf8');
  for (const name of ['OpenBLAS', 'libquadmath', 'simdjson', 'echarts', 'zrender'])
    t.true(notices.includes(name), name);
  const { bomFormat, components } = JSON.parse(
    readFileSync(join(library, 'sbom.cdx.json'), 'utf8'),
  );
  t.is(bomFormat, 'CycloneDX');
  const listed = components.map(({ name }: { name: string }) => name);
  for (const name of [
    ...Object.keys(dependencies),
    'scipy-openblas32',
    '@nozbe/simdjson',
    'echarts',
  ]) {
    t.true(listed.includes(name), `${name} is in the SBOM`);
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
    inConsumer('node', '-p', `require('${library}/dist/lib/engine/gpu.js').cudaLibrary()`).trim();
  t.false(existsSync(ask()));
  const cuda = join(consumer, 'node_modules', 'struprune-native-cuda-linux-x64');
  mkdirSync(cuda);
  for (const name of ['package.json', 'struprune_cuda.so']) {
    const built = join(ROOT, 'packages', 'cuda', name);
    writeFileSync(join(cuda, name), existsSync(built) ? readFileSync(built) : '');
  }
  t.is(ask(), join(cuda, 'struprune_cuda.so'));
});

test.serial('without a prebuilt addon the error says what to run and what is missing', (t) => {
  renameSync(join(library, 'prebuilds'), join(folder, 'prebuilds'));
  const help = inConsumer('npx', 'struprune-native', '--help');
  const error = t.throws(() => inConsumer('npx', 'struprune-native', 'devices'));
  renameSync(join(folder, 'prebuilds'), join(library, 'prebuilds'));
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
