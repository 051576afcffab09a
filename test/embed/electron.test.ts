/**
 * The example application as far as it goes without Electron: its utility process under Node with a stand-in for
 * process.parentPort, and a real asar archive made by the example's own rules. test/real/electron.test.ts has its page.
 */
import { fork } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPackageWithOptions, extractAll, listPackage, statFile } from '@electron/asar';
import test from 'ava';
import { CALIBRATION, workspace } from '../e2e/models';
import { build, ROOT } from './programs';

const EXAMPLE = join(ROOT, 'examples', 'electron');
/** What the library needs at run time, and what npm would install beside it. */
const CARRIED = ['dist', 'assets', 'package.json'];
/** Names of what an installation brings along. */
const DEPENDENCIES = installed(JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')));

let folder: string;
let app: string;

interface Lock {
  packages: Record<string, Record<'dev' | 'devOptional' | 'optional' | 'peer', boolean>>;
}

function installed({ packages }: Lock): string[] {
  const own = Object.entries(packages).filter(
    ([path, { dev, devOptional, optional, peer }]) =>
      path !== '' && !dev && !devOptional && !optional && !peer,
  );
  return own.map(([path]) => path.replace('node_modules/', ''));
}

test.before(() => {
  build();
  folder = mkdtempSync(join(tmpdir(), 'struprune-electron-'));
  app = join(folder, 'app');
  cpSync(EXAMPLE, app, { recursive: true });
  const library = join(app, 'node_modules', 'struprune-native');
  mkdirSync(library, { recursive: true });
  for (const name of CARRIED) cpSync(join(ROOT, name), join(library, name), { recursive: true });
  const system = `${process.platform}-${process.arch}`;
  const native = join(app, 'node_modules', '@struprune-native', system);
  // node-gyp's objects stay behind.
  cpSync(join(ROOT, 'build', 'Release'), join(native, 'prebuilds', system), {
    recursive: true,
    filter: (path) => !/obj\.target|\.deps/.test(path),
  });
  writeFileSync(join(native, 'package.json'), '{}');
  for (const name of DEPENDENCIES) {
    const to = join(app, 'node_modules', name);
    cpSync(join(ROOT, 'node_modules', name), to, { recursive: true });
  }
});

const work = workspace();
test.after.always(() => {
  work.remove();
  rmSync(folder, { recursive: true, force: true });
});

interface Message {
  type: string;
  [key: string]: unknown;
}

/** Runs prune-process.js; `onMessage` may answer. Resolves with all that it said and its exit code. */
function utility(
  script: string,
  options: object,
  onMessage: (message: Message, send: (reply: object) => void) => void = () => {},
): Promise<{ said: Message[]; code: number | null }> {
  const shim = join(__dirname, 'programs', 'parent-port.js');
  const child = fork(script, [], { execArgv: ['--require', shim] });
  const said: Message[] = [];
  child.on('message', (message: Message) => {
    said.push(message);
    onMessage(message, (reply) => child.send(reply));
  });
  child.send({
    type: 'start',
    options: { model: null, calibration: null, sparsity: 0.2, ...options },
  });
  return new Promise((resolve) => child.on('exit', (code) => resolve({ said, code })));
}

test.serial(
  'the utility process prunes, tells its progress and hands the report over',
  async (t) => {
    const output = join(folder, 'pruned');
    const { said, code } = await utility(join(app, 'prune-process.js'), { output });
    t.is(code, 0);
    const done = said.at(-1)!;
    t.like(done, { type: 'done', output });
    t.regex(done.report as string, /^<!doctype html>/i);
    t.true(said.filter(({ type }) => type === 'progress').length > 5);
    t.true(existsSync(join(output, 'model.safetensors')));
  },
);

test.serial('cancel ends it without an output', async (t) => {
  const output = join(folder, 'cancelled');
  let sent = false;
  const { said } = await utility(join(app, 'prune-process.js'), { output }, (message, send) => {
    if (message.type !== 'progress' || sent) return;
    sent = true;
    send({ type: 'cancel' });
  });
  t.like(said.at(-1), { type: 'failed', isCancelled: true, message: 'cancelled' });
  t.false(existsSync(output));
});

test.serial(
  'an archive by the rules of the example: what is native lies on the disk and works',
  async (t) => {
    const { build: rules } = JSON.parse(readFileSync(join(EXAMPLE, 'package.json'), 'utf8'));
    const archive = join(folder, 'resources', 'app.asar');
    mkdirSync(join(folder, 'resources'));
    const unpack = `{${rules.asarUnpack.map((glob: string) => `**/${glob}`).join(',')}}`;
    await createPackageWithOptions(app, archive, { unpack });

    const inside = listPackage(archive, { isPack: false });
    t.true(['/main.js', '/preload.js', '/window.html'].every((name) => inside.includes(name)));
    for (const name of inside.filter((file) => /\.(node|so)(\.|$)|\/assets\/.*\./.test(file))) {
      const { unpacked } = statFile(archive, name.slice(1)) as { unpacked?: boolean };
      t.true(unpacked, `${name} is on the disk`);
    }
    const library = join(`${archive}.unpacked`, 'node_modules', 'struprune-native');
    t.true(existsSync(join(library, 'dist', 'lib', 'index.js')));

    // Plain Node cannot look into the archive, as Electron's does: the library's dependencies are taken out for it.
    extractAll(archive, join(folder, 'extracted'));
    const beside = join(`${archive}.unpacked`, 'node_modules');
    for (const name of DEPENDENCIES) {
      const [scope] = name.split('/');
      if (existsSync(join(beside, scope!))) continue;
      symlinkSync(join(folder, 'extracted', 'node_modules', scope!), join(beside, scope!));
    }
    const script = join(`${archive}.unpacked`, 'prune-process.js');
    cpSync(join(folder, 'extracted', 'prune-process.js'), script);
    const output = join(folder, 'from-asar');
    const calibration = join(folder, 'some.txt');
    writeFileSync(calibration, readFileSync(CALIBRATION).subarray(0, 8192));
    const own = { model: work.model('llama2'), calibration };
    const { said, code } = await utility(script, { output, ...own });
    t.is(code, 0, JSON.stringify(said.at(-1)));
    t.like(said.at(-1), { type: 'done', output });
  },
);
