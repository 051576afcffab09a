import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The package's own folder, from lib/ as well as from dist/lib/. */
export function packageRoot(): string {
  let folder = __dirname;
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return folder;
}
