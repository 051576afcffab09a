/** Optional peers: packages that only some calls need. */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { StruPruneError } from '../../../errors';
import { packageRoot } from '../../../package-root';

/** What this program is tested with. */
const VERSIONS = { 'onnxruntime-node': '1.30.0', sharp: '0.35.5' };

/**
 * The package, of the folder at work or of this program's. `what` is done by it.
 * @throws StruPruneError ERR_NOT_FOUND where it is not installed
 */
export function peer<Package>(name: keyof typeof VERSIONS, what: string): Package {
  for (const folder of [process.cwd(), packageRoot()]) {
    try {
      return createRequire(join(folder, 'index.js'))(name);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error;
    }
  }
  throw new StruPruneError(
    'ERR_NOT_FOUND',
    `${what} by ${name}, which is not installed`,
    `install it with: npm install ${name}@${VERSIONS[name]}`,
  );
}
