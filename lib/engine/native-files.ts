/** Where native code lies: built in this folder, else in a package of its own for the system (docs/embedding.md, The packages). */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { onDisk, packageRoot } from '../package-root';

/** Carries the addon and the libraries that it needs. npm installs it with this package where the system fits. */
const PLATFORM_PACKAGE = `@struprune-native/${process.platform}-${process.arch}`;
/** Carries the CUDA library. Nobody gets its 20 MB without asking for it. */
const CUDA_PACKAGE = `${PLATFORM_PACKAGE}-cuda`;

/** The native addon. @throws Error where there is none */
export function addonFile(): string {
  const { path } = require('node-gyp-build');
  try {
    return path(packageRoot());
  } catch (cause) {
    const manifest = fileOf(PLATFORM_PACKAGE, 'package.json');
    if (manifest === undefined) throw cause;
    return path(dirname(manifest));
  }
}

/** The CUDA library: what STRUPRUNE_CUDA_LIBRARY names, else one built beside the addon, else that of its own package. */
export function cudaLibrary(): string {
  const named = process.env.STRUPRUNE_CUDA_LIBRARY;
  if (named !== undefined) return named;
  const built = join(dirname(addonFile()), 'struprune_cuda.so');
  return existsSync(built) ? built : (fileOf(CUDA_PACKAGE, 'struprune_cuda.so') ?? built);
}

/** The program that npm run build:cuda puts beside the library. */
export function selftestProgram(): string {
  return join(dirname(cudaLibrary()), 'struprune_selftest');
}

function fileOf(name: string, file: string): string | undefined {
  try {
    return onDisk(require.resolve(`${name}/${file}`));
  } catch {
    return undefined;
  }
}
