import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { StruPruneError } from '../errors';
import { type DeviceName, indexOf, selftestProgram } from './gpu';

/** Exit codes of struprune_selftest (native/selftest/main.cpp). */
const NO_GPU = 3;

/**
 * Runs the CUDA library's own tests on a GPU; their report goes to stdout.
 * @throws StruPruneError ERR_DEVICE when they are not built, cannot be run here, or one of them fails
 */
export async function runSelftest(device: DeviceName = 'cuda:0'): Promise<void> {
  const program = selftestProgram();
  if (!existsSync(program)) {
    throw new StruPruneError(
      'ERR_DEVICE',
      `the self-test is not built (${program})`,
      'build it with npm run build:cuda in a checkout (needs GoogleTest: apt-get install libgtest-dev)',
    );
  }
  const index = indexOf(device) ?? 0;
  const code = await new Promise<number | null>((done, failed) => {
    const child = spawn(program, [String(index)], { stdio: ['ignore', 'inherit', 'inherit'] });
    child.on('error', failed);
    child.on('close', done);
  });
  if (code === 0) return;
  const message =
    code === NO_GPU ? 'there is no GPU to test' : 'the self-test of the CUDA library failed';
  throw new StruPruneError('ERR_DEVICE', message, 'see what it printed');
}
