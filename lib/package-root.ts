import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { StruPruneError } from './errors';

/**
 * The package's own folder, from lib/ as well as from dist/lib/. In an Electron application it is the one beside the archive:
 * native code, which maps models and loads libraries, cannot look into `app.asar`.
 * @throws StruPruneError ERR_UNSUPPORTED where the program was bundled or copied without its package
 */
export function packageRoot(): string {
  for (let folder = __dirname; ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json'))) return onDisk(folder);
    if (folder === dirname(folder)) break;
  }
  throw new StruPruneError(
    'ERR_UNSUPPORTED',
    `no package.json lies above ${__dirname}, so that the package's other files cannot be found`,
    'keep struprune-native as a folder in node_modules: leave it out of bundles (external)',
  );
}

/** Where a path in an asar archive lies when it was unpacked (`asarUnpack`); other paths stay as they are. */
export function onDisk(path: string): string {
  const unpacked = path.replace(/\.asar(?=[\\/])/, '.asar.unpacked');
  return existsSync(unpacked) ? unpacked : path;
}
