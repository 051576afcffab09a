import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { StruPruneError } from '../errors';
import { packageRoot } from '../package-root';

/** The tiny model that comes with the package. It was trained on windows of EMBEDDED_WINDOW tokens. */
export function embeddedModel(): string {
  const folder = join(packageRoot(), 'assets', 'tiny');
  if (existsSync(folder)) return folder;
  throw new StruPruneError(
    'ERR_NOT_FOUND',
    `the embedded model is not in ${folder}`,
    'install the package anew, or work in a checkout of the repository',
  );
}

export const EMBEDDED_WINDOW = 256;
