// npm run lint: Biome, clang-format (a pinned wheel, so that every machine agrees), tsc, TypeDoc without a warning, and
// the package's entries by publint and arethetypeswrong. With --write (npm run format) the first two mend what they can
// and the rest is left out.
const fs = require('node:fs');
const path = require('node:path');
const { ensureModules, npm } = require('./lib/npm.js');
const { at, modules } = require('./lib/paths.js');
const { attempt } = require('./lib/process.js');
const { runMain } = require('./lib/setup-error.js');
const { filesUnder } = require('./lib/stamp.js');
const { add, close, single } = require('./lib/tally.js');
const { ensureDist } = require('./lib/typescript.js');
const { ensureWheels } = require('./lib/wheels.js');

const write = process.argv.includes('--write');

function check(name, command, args, brief = (output) => output) {
  const { status, output } = attempt(command, args);
  console.log(status === 0 ? `ok: ${name}` : `${brief(output).trimEnd()}\nnot ok: ${name}`);
  return single(status === 0);
}

/** clang-format shows every place; the files are enough, since `npm run format` mends them. */
function namesOfFiles(output) {
  const names = new Set(output.match(/^[^:\n]+(?=:\d+:\d+: error)/gm));
  return names.size > 0 ? `${[...names].join('\n')}\nmend: npm run format` : output;
}

function biome() {
  const cli = path.join(modules, '@biomejs', 'biome', 'bin', 'biome');
  const args = write ? ['check', '--write'] : ['check', '--error-on-warnings'];
  return check('biome', process.execPath, [cli, ...args]);
}

function clangFormat() {
  const program = path.join(ensureWheels('clang-format'), 'clang_format/data/bin/clang-format');
  fs.chmodSync(program, 0o755);
  const files = filesUnder(at('native'), (file) => /\.(cpp|h|cu|cuh)$/.test(file));
  const args = write ? ['-i'] : ['--dry-run', '-Werror'];
  return check('clang-format', program, [...args, ...files], namesOfFiles);
}

function typescript() {
  const tsc = path.join(modules, 'typescript', 'bin', 'tsc');
  return check('tsc', process.execPath, [tsc, '--noEmit', '-p', at()]);
}

/** The package's entries as bundlers, Node and TypeScript resolve them. */
function entries() {
  ensureDist();
  const publint = path.join(modules, 'publint', 'src', 'cli.js');
  const attw = path.join(modules, '@arethetypeswrong', 'cli', 'dist', 'index.js');
  // The files alone: neither the addon nor a whole package is needed to read them.
  const packed = ['pack', '--ignore-scripts', '--silent', '--pack-destination', at('build')];
  const file = at('build', npm(packed, { capture: 'stdout' }).output.trim().split('\n').at(-1));
  try {
    return add(
      check('publint', process.execPath, [publint, 'run', file, '--strict', '--pack', 'false']),
      check('attw', process.execPath, [attw, file, '--format', 'table-flipped', '--no-emoji']),
    );
  } finally {
    fs.rmSync(file, { force: true });
  }
}

const reference = () =>
  check('typedoc', process.execPath, [at('scripts', 'reference.js'), '--check']);

runMain(() => {
  ensureModules();
  const checks = [biome(), clangFormat()];
  if (!write) checks.push(typescript(), reference(), entries());
  close(add(...checks));
});
