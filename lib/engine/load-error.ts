/** Why the addon does not load, and what would build it. */
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { StruPruneError } from '../errors';

/** What a build from source needs, under any of these names. */
const TOOLS = [['cmake'], ['c++', 'g++', 'clang++'], ['make', 'ninja'], ['python3']];

export function loadError(cause: Error, root: string): StruPruneError {
  const missing = TOOLS.filter((names) => !names.some(isOnPath)).map(([name]) => name);
  const needs =
    missing.length > 0
      ? `not on PATH: ${missing.join(', ')}`
      : 'cmake, a C++20 compiler, make and python3 with pip are there';
  return new StruPruneError(
    'ERR_ADDON',
    `the native addon for ${process.platform}-${process.arch} does not load: ${cause.message.split('\n')[0]}`,
    `build it from source with \`${buildCommand(root)}\` (${needs})`,
    { cause },
  );
}

function buildCommand(root: string): string {
  const isCheckout = existsSync(join(root, 'package-lock.json'));
  return isCheckout
    ? `npm --prefix ${root} run setup`
    : `node ${join(root, 'scripts/compile.js')} --native`;
}

function isOnPath(name: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
