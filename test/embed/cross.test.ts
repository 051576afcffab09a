/**
 * The addons that npm run build:cross makes for other systems. Where there is an emulator, in their own Node: the embedded model
 * is pruned under a budget, killed and gone on with, and keeps what this system keeps. For macOS there is none: what they ask
 * for is read. STRUPRUNE_LONG=1: it takes minutes.
 */
import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { safetensorsShapes, safetensorsValues } from '../e2e/files';
import { isLong } from '../long';
import { build, DIST, ROOT } from './programs';

interface Emulated {
  command: string[];
  env: NodeJS.ProcessEnv;
}
const { EMULATED, emulatedNode, missingFor } = require(join(ROOT, 'scripts/lib/emulators.js')) as {
  EMULATED: Record<string, unknown>;
  emulatedNode(system: string): Emulated;
  missingFor(system: string): string[];
};

const { which } = require(join(ROOT, 'scripts/lib/process.js')) as {
  which(program: string): string | null;
};

const OPTIONS = {
  sparsity: 0.3,
  allocation: 'uniform',
  calibrationTokens: 1024,
  tuneTokens: 0,
  window: 64,
  evalTokens: 512,
  threads: 1,
  memory: 64 * 2 ** 20,
  device: 'cpu',
  dtype: 'f32',
};
/** Of a tensor's difference, as a share of its norm. */
const TOLERANCE = 1e-4;
const HERE: Emulated = { command: [process.execPath], env: {} };
/** Milliseconds: an emulator is up to a hundred times slower. */
const TIMEOUT = 3_600_000;

let folder: string;
test.before(() => {
  folder = mkdtempSync(join(tmpdir(), 'struprune-cross-'));
});
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

/** Runs kill-at.js to its end, or to its death behind so many blocks. Its output goes to files alone: under wine Node has no pipes. */
async function prune({ command, env }: Emulated, name: string, more: object, blocks?: number) {
  const [program, ...args] = command;
  const result = join(folder, `${name}.json`);
  const options = JSON.stringify({ ...OPTIONS, ...more });
  const script = join(__dirname, 'programs', 'kill-at.js');
  args.push(script, join(folder, name), result, options, ...(blocks ? [String(blocks)] : []));
  const all = { ...process.env, STRUPRUNE_DIST: DIST, ...env };
  const log = openSync(`${result}.log`, 'w');
  await once(spawn(program!, args, { env: all, stdio: ['ignore', log, log], cwd: ROOT }), 'close');
  closeSync(log);
  if (existsSync(result)) return JSON.parse(readFileSync(result, 'utf8'));
  if (blocks === undefined) throw new Error(readFileSync(`${result}.log`, 'utf8'));
  return null;
}

const norm = (values: readonly number[]) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0));

(isLong ? test.serial : test.serial.skip)('this system prunes, to be compared with', async (t) => {
  t.timeout(TIMEOUT);
  build();
  t.is((await prune(HERE, 'here', {})).layers.length, 6);
});

for (const system of Object.keys(EMULATED)) {
  const missing = missingFor(system);
  const run = isLong && missing.length === 0 ? test.serial : test.serial.skip;
  const why = isLong && missing.length > 0 ? `: no ${missing.join(', ')}` : '';
  run(`${system} keeps what this system keeps, killed after two blocks${why}`, async (t) => {
    t.timeout(TIMEOUT);
    await promisify(execFile)(process.execPath, ['scripts/build-cross.js', system], { cwd: ROOT });
    const node = emulatedNode(system);
    t.is(await prune(node, system, {}, 2), null);
    const { layers, resumedBlocks } = await prune(node, system, { resume: true });
    t.deepEqual(resumedBlocks, [0, 1]);
    t.deepEqual(layers, JSON.parse(readFileSync(join(folder, 'here.json'), 'utf8')).layers);
    const here = join(folder, 'here');
    const there = join(folder, system);
    t.deepEqual(safetensorsShapes(there), safetensorsShapes(here));
    let worst = 0;
    for (const name of Object.keys(safetensorsShapes(here))) {
      const values = safetensorsValues(here, name);
      const others = safetensorsValues(there, name);
      worst = Math.max(worst, norm(values.map((x, i) => x - others[i]!)) / norm(values));
    }
    t.log(`largest difference of a tensor: ${worst.toExponential(1)} of its norm`);
    t.true(worst < TOLERANCE, String(worst));
  });
}

const READERS = ['llvm-objdump', 'llvm-nm'];
const areThere = READERS.every((name) => which(name) !== null);
const MACS = { 'darwin-arm64': 'ARM64', 'darwin-x64': 'X86_64' };

for (const [system, processor] of Object.entries(MACS)) {
  const run = isLong && areThere ? test.serial : test.serial.skip;
  const why = isLong && !areThere ? `: no ${READERS.join(', ')} (Debian: llvm)` : '';
  run(`${system} asks for Node-API, Accelerate and libSystem alone${why}`, async (t) => {
    t.timeout(TIMEOUT);
    await promisify(execFile)(process.execPath, ['scripts/build-cross.js', system], { cwd: ROOT });
    const addon = join(ROOT, 'prebuilds', system, 'struprune-native.node');
    const read = (name: string, ...args: string[]) =>
      execFileSync(name, [...args, addon], { encoding: 'utf8', maxBuffer: 2 ** 26 });
    const headers = read('llvm-objdump', '--macho', '--private-headers');
    t.regex(headers, new RegExp(`MH_MAGIC_64 +${processor} +ALL .* DYLIB `));
    t.regex(headers, /minos 13\.0/);
    // Without one macOS loads no code for its ARM processors.
    if (processor === 'ARM64') t.regex(headers, /LC_CODE_SIGNATURE/);
    const loaded = [...headers.matchAll(/LC_LOAD_DYLIB\s+cmdsize \d+\s+name (\S+)/g)];
    t.deepEqual(
      loaded.map(([, name]) => name),
      [
        '/System/Library/Frameworks/Accelerate.framework/Versions/A/Accelerate',
        '/usr/lib/libSystem.B.dylib',
      ],
    );
    const bound = read('llvm-objdump', '--macho', '--bind', '--lazy-bind');
    const from = (library: string) =>
      [...bound.matchAll(/ (\S+) +(_\S+)$/gm)]
        .filter(([, found]) => found === library)
        .map(([, , name]) => name!);
    t.deepEqual(from('Accelerate').sort(), [
      '_cblas_dgemm',
      '_cblas_dtrsm',
      '_cblas_sgemm',
      '_dpotrf_',
      '_dpotri_',
    ]);
    // Of whatever program opens it.
    const ofNode = from('flat-namespace');
    t.true(ofNode.length > 20);
    t.deepEqual(
      ofNode.filter((name) => !name.startsWith('_napi_')),
      [],
    );
    // Operators new and delete are weak: a process has one of each.
    const given = read('llvm-nm', '--format=just-symbols', '--extern-only', '--defined-only');
    const own = given
      .trim()
      .split('\n')
      .filter((name) => !/^(__Zn[aw]|__Zd[al]P|___dso_handle$|__mh_)/.test(name));
    t.deepEqual(own, ['_napi_register_module_v1', '_node_api_module_get_api_version_v1']);
  });
}
