// npm run measure -- same-bytes REF [NAME…] [--real]: does this checkout write the bytes that REF writes? Checks REF out
// into a git worktree of its own under .cache/, sets it up, and runs the commands of same-bytes.json there and here in
// turn. Prints the SHA-256 of every output, all of its files but the model card, which quotes the command. Exit code 1 where
// two differ or a run fails. NAME: only rows whose names hold one of these. --real: SmolLM2 too, which takes long. Leave this
// checkout alone meanwhile.
const { spawn } = require('node:child_process');
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { parseArgs } = require('node:util');
const { at, root } = require('../lib/paths.js');
const { attempt, run, say } = require('../lib/process.js');
const { runMain, SetupError } = require('../lib/setup-error.js');
const { CARD, hashesOf, hashOfAll } = require('./hashes.js');
const commands = require('./same-bytes.json');

const EMULATED =
  "console.log(JSON.stringify(require('./test/gpu/emulation.ts').emulatedLibrary()))";

let child;
let stoppedBy;

/** Runs a command in a process group of its own, which a signal ends; { status, stdout, stderr }. */
async function start(command, args, { cwd, env = {} }) {
  if (stoppedBy) throw new SetupError(`stopped by ${stoppedBy}`);
  child = spawn(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const text = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) {
    child[name].setEncoding('utf8').on('data', (some) => {
      text[name] += some;
    });
  }
  const status = await new Promise((resolve, reject) => {
    child.on('error', reject).on('close', resolve);
  });
  child = undefined;
  if (stoppedBy) throw new SetupError(`stopped by ${stoppedBy}`);
  return { status, ...text };
}

/** What a command prints. @throws SetupError where it fails */
async function started(what, ...command) {
  const { status, stdout, stderr } = await start(...command);
  if (status !== 0) throw new SetupError(`${what} failed (exit ${status})`, '', stdout + stderr);
  return stdout;
}

/** On a signal, ends the command at hand; what main() made is then cleared away. */
function listen() {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      stoppedBy = signal;
      if (child) process.kill(-child.pid);
    });
  }
}

/** What set-up fetches, and the file that names it: a checkout that wants the same gets hard links. */
const FETCHED = { node_modules: 'package-lock.json', '.deps': 'scripts/lib/wheels.js' };

async function setUp(checkout, ref) {
  run('git', ['worktree', 'add', '--detach', '--quiet', checkout, ref], {
    what: `checking ${ref} out`,
  });
  for (const [folder, list] of Object.entries(FETCHED)) {
    const [there, here] = [path.join(checkout, list), at(list)].map((file) =>
      fs.readFileSync(file),
    );
    if (there.equals(here)) run('cp', ['-al', at(folder), checkout]);
  }
  fs.rmSync(path.join(checkout, '.deps', 'setup.lock'), { force: true });
  say(`setting ${ref} up`);
  await started('set-up', process.execPath, ['scripts/setup.js'], { cwd: checkout });
}

/** Variables with which a checkout's program finds a GPU: a made-up driver, and its own CUDA library, emulated. */
async function emulation(checkout, cleanUps) {
  require('../lib/ts-register.js');
  const { fakeDriver } = require(at('test', 'gpu', 'fake-driver.ts'));
  const driver = await fakeDriver({ teardown: (cleanUp) => cleanUps.push(cleanUp) }, {});
  const args = ['-r', './scripts/lib/ts-register.js', '-e', EMULATED];
  const printed = await started('the emulation', process.execPath, args, { cwd: checkout });
  return { ...driver, ...JSON.parse(printed) };
}

/** Rows { name: command } to run: those that were asked for, and before them those whose outputs they read. */
function rowsFor(words, real) {
  const rows = { ...commands.rows, ...(real ? commands.real : {}) };
  const isAsked = (name) => words.length === 0 || words.some((word) => name.includes(word));
  const asked = Object.keys(rows).filter(isAsked);
  if (asked.length === 0) {
    throw new SetupError(
      `no row has '${words.join("' or '")}' in its name`,
      Object.keys(rows).join(', '),
    );
  }
  const isRead = (name) => asked.some((one) => rows[one].includes(`{${name}}`));
  return Object.entries(rows).filter(([name]) => asked.includes(name) || isRead(name));
}

/** The words of a command; `places` has what stands in braces, which may hold some itself. */
function wordsOf(command, places) {
  const filled = command.replace(/\{(prune|short)\}/g, (_, name) => commands[name]);
  return filled
    .split(' ')
    .map((word) => word.replace(/\{([\w-]+)\}/g, (whole, name) => places[name] ?? whole));
}

/** Runs a row in a checkout; its output is all that lies in `folder` then. */
async function runRow(side, command, folder) {
  const options = { cwd: side.checkout };
  const program = path.join('dist', 'lib', 'cli', 'main.js');
  const words = wordsOf(command, { ...side.places, out: path.join(folder, 'out') });
  if (words.includes('cuda:0')) options.env = side.gpu;
  const budget = words.indexOf('{smallest}');
  if (budget >= 0) {
    const others = words.toSpliced(budget - 1, 2).slice(1);
    const args = [program, 'plan', ...others, '--json'];
    const planned = JSON.parse(await started('plan', process.execPath, args, options));
    words[budget] = String(planned.smallestMemory);
  }
  fs.mkdirSync(folder, { recursive: true });
  const { status, stderr } = await start(process.execPath, [program, ...words], options);
  if (status !== 0) {
    const lines = stderr.trim().split('\n');
    const said = lines.findLast((line) => /error/i.test(line)) ?? lines.at(-1);
    throw new SetupError(said, `in ${side.name}: ${words.join(' ')}`);
  }
}

/** Names, types, shapes and bytes of all tensors of what was written, whatever lies beside them. */
async function weightsOf(folder) {
  const library = require(at('dist', 'lib', 'index.js'));
  const [name] = fs.readdirSync(folder);
  const { files, model, blocks } = await library.openModel(path.join(folder, name));
  const hash = createHash('sha256');
  for (const tensor of [model, ...blocks].flatMap((part) => Object.values(part))) {
    const { name, dtype, shape, file, offset, bytes } = tensor;
    const content = Buffer.alloc(bytes);
    const descriptor = fs.openSync(files[file]);
    fs.readSync(descriptor, content, 0, bytes, offset);
    fs.closeSync(descriptor);
    hash.update(JSON.stringify([name, dtype, shape])).update(content);
  }
  return hash.digest('hex');
}

/** Prints what two folders hold; whether they hold the same. */
async function compare(name, folders) {
  const [there, here] = folders.map(hashesOf);
  const all = [...new Set([...there.keys(), ...here.keys()])];
  const different = all.filter((file) => there.get(file) !== here.get(file));
  const hashes = [there, here].map(hashOfAll);
  if (hashes[0] === hashes[1]) {
    const card = different.length > 0 ? ` (but for ${CARD})` : '';
    console.log(`same       ${hashes[0]}  ${name}${card}`);
    return true;
  }
  const [before, after] = await Promise.all(folders.map(weightsOf));
  const weights = before === after ? 'the same' : 'others';
  console.log(`DIFFERENT  ${hashes[0]}  ${name}, there`);
  console.log(`           ${hashes[1]}  here: ${different.join(', ')}; weights: ${weights}`);
  return false;
}

/** Runs a row on both sides; whether both wrote the same. Outputs stay, for rows that read them. */
async function measureRow(name, command, sides) {
  const folders = [];
  for (const side of sides) {
    const folder = path.join(side.folder, name);
    try {
      await runRow(side, command, folder);
    } catch (error) {
      if (stoppedBy || !(error instanceof SetupError)) throw error;
      console.log(`FAILED     ${name}: ${error.message}\n           ${error.mend}`);
      return false;
    }
    side.places[name] = path.join(folder, 'out');
    folders.push(folder);
  }
  return compare(name, folders);
}

async function main() {
  const { values, positionals } = parseArgs({
    options: { real: { type: 'boolean', default: false } },
    allowPositionals: true,
  });
  const [ref, ...names] = positionals;
  if (!ref) throw new SetupError('compared with what?', 'same-bytes REF [NAME…] [--real]');
  run('git', ['rev-parse', '--verify', '--quiet', `${ref}^{commit}`], {
    what: `git's look-up of ${ref}`,
    mend: 'give a commit, branch or tag of this repository',
  });
  const rows = rowsFor(names, values.real);
  listen();
  fs.mkdirSync(at('.cache'), { recursive: true });
  const folder = fs.mkdtempSync(at('.cache', 'same-bytes-'));
  const checkout = path.join(folder, 'checkout');
  const cleanUps = [];
  try {
    await setUp(checkout, ref);
    const places = {
      tiny: at('assets', 'tiny'),
      'tiny-opt': at('assets', 'tiny-opt'),
      calibration: at('assets', 'text', 'calibration.txt'),
    };
    if (values.real) {
      const printed = await started('fetch-model', process.execPath, ['scripts/fetch-model.js'], {
        cwd: root,
      });
      places.smollm2 = printed.trimEnd().split('\n').at(-1);
    }
    const sides = [
      { name: ref, checkout, folder: path.join(folder, 'there'), places: { ...places } },
      { name: 'this checkout', checkout: root, folder: path.join(folder, 'here'), places },
    ];
    if (rows.some(([, command]) => command.includes('cuda:0'))) {
      for (const side of sides) side.gpu = await emulation(side.checkout, cleanUps);
    }
    let different = 0;
    for (const [name, command] of rows) {
      if (!(await measureRow(name, command, sides))) different += 1;
    }
    console.log(`${rows.length - different} of ${rows.length} the same`);
    if (different > 0) process.exitCode = 1;
  } finally {
    for (const cleanUp of cleanUps) await cleanUp();
    // What was just ended may still write.
    fs.rmSync(folder, { recursive: true, maxRetries: 10 });
    attempt('git', ['worktree', 'remove', '--force', checkout]);
  }
}

runMain(main);
