/** What the addon asks of the program that loads it and of the system: Node-API alone, and glibc 2.28. */
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { ROOT } from './programs';

const RELEASE = join(ROOT, 'build', 'Release');
const ADDON = join(RELEASE, 'struprune.node');
const output = (command: string, ...args: string[]) =>
  execFileSync(command, args, { encoding: 'utf8', maxBuffer: 2 ** 26 });

/** Undefined symbols as `name` or `name@version`; weak ones, which nobody has to have, are not among them. */
function undefinedOf(file: string): string[] {
  const listing = output('nm', '-D', '--undefined-only', file);
  return [...listing.matchAll(/^ +U (\S+)$/gm)].map(([, name]) => name!);
}

test('of Node it uses Node-API 8 and nothing else', (t) => {
  const versioned = /@(GLIBC|GCC)_/;
  const others = undefinedOf(ADDON).filter((name) => !versioned.test(name));
  const foreign = others.filter((name) => !/^(napi_|scipy_)/.test(name));
  t.deepEqual(foreign, [], 'no symbol of V8, libuv or node::');
  t.true(others.some((name) => name.startsWith('napi_')));
});

test('it makes no buffer over memory of its own', (t) => {
  const external = undefinedOf(ADDON).filter((name) => /napi_create_external_/.test(name));
  t.deepEqual(external, [], 'Electron refuses napi_create_external_arraybuffer and _buffer');
});

test('it gives two symbols and brings the C++ runtime along', (t) => {
  const defined = output('nm', '-D', '--defined-only', ADDON).trim().split('\n');
  t.deepEqual(defined.map((line) => line.split(' ').pop()!.replace(/@.*/, '')).sort(), [
    'napi_register_module_v1',
    'node_api_module_get_api_version_v1',
  ]);
  t.notRegex(output('readelf', '-d', ADDON), /NEEDED.*stdc\+\+/);
});

test('addon and BLAS run on glibc 2.28', (t) => {
  const files = readdirSync(RELEASE).filter((name) => /\.(node|so(\..*)?)$/.test(name));
  t.true(files.length >= 2);
  for (const name of files.filter((file) => !file.startsWith('struprune_cuda'))) {
    const table = output('objdump', '-T', join(RELEASE, name));
    const versions = [...table.matchAll(/\bGLIBC_2\.(\d+)/g)].map(([, minor]) => Number(minor));
    t.true(Math.max(...versions) <= 28, `${name} asks for GLIBC_2.${Math.max(...versions)}`);
    t.notRegex(table, /\bGLIBCXX_/, name);
  }
});
