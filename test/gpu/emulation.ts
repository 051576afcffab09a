/** The CUDA library over the host emulation (native/emulation), built where it is not current. */
import { join, resolve } from 'node:path';

const ROOT = resolve(__dirname, '../..');

interface Build {
  buildOptions(): Record<string, string>;
  cmakeBuild(name: string, target: string, options: Record<string, string>): string;
}

/** Variables that make the program take it for the CUDA library, and its stand-ins for cuBLAS. */
export function emulatedLibrary(): NodeJS.ProcessEnv {
  const { withLock } = require(join(ROOT, 'scripts/lib/lock.js')) as {
    withLock<T>(work: () => T): T;
  };
  const { buildOptions, cmakeBuild } = require(join(ROOT, 'scripts/lib/native.js')) as Build;
  const folder = withLock(() => cmakeBuild('cmake', 'struprune_emulated', buildOptions()));
  const library = join(folder, 'libstruprune_emulated.so');
  return {
    // Half of it is taken at once, and filled: as little as these tests do with.
    STRUPRUNE_EMULATED_MEMORY: String(128 * 2 ** 20),
    STRUPRUNE_CUDA_LIBRARY: library,
    STRUPRUNE_CUBLAS: library,
    STRUPRUNE_CUSOLVER: library,
  };
}
