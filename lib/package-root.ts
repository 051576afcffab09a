import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * The package's own folder, from lib/ as well as from dist/lib/. In an Electron application it is the one beside the archive:
 * native code, which maps models and loads libraries, cannot look into `app.asar`.
 */
export function packageRoot(): string {
  let folder = __dirname;
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return onDisk(folder);
}

/** Where a path in an asar archive lies when it was unpacked (`asarUnpack`); other paths stay as they are. */
export function onDisk(path: string): string {
  const unpacked = path.replace(/\.asar(?=[\\/])/, '.asar.unpacked');
  return existsSync(unpacked) ? unpacked : path;
}
