import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { StruPruneError } from '../errors';
import { chooseDevice, type DeviceName, indexOf, selftestProgram } from './gpu';

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
  await chooseDevice(`cuda:${index}`);
  const code = await new Promise<number | null>((done, failed) => {
    const child = spawn(program, [String(index)], { stdio: ['ignore', 'inherit', 'inherit'] });
    child.on('error', failed);
    child.on('close', done);
  });
  if (code === 0) return;
  throw new StruPruneError(
    'ERR_DEVICE',
    'the self-test of the CUDA library failed',
    'see what it printed',
  );
}
